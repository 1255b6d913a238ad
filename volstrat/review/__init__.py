"""The MDT page: a case on a local web page, its lesions marked, the verdict recomputed on each mark."""
