"""Say how well a prediction agrees with the truth.

`semantic` compares masks and classes, `surfaces` the distance of their outlines, `instances` and `regions` objects,
`objects` lists them one by one; `bootstrap` says how sure a score of several images is.

Empty masks have a defined score everywhere: two empty ones agree, a mask compared with an empty one does not.
"""
