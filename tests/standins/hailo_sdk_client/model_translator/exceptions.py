class ParsingWithRecommendationException(Exception):  # noqa: N818 - the vendor's name
    pass
