"""Small changes to an input that should not change its answer, to see what a model does then.

One file a modality: `text` needs nothing, `audio` numpy, `images` Pillow. Every function takes a
severity from 1 (hardly visible) to 5 (a person still understands it) and a generator; with
`ml_core.seeding.item_generator` a change depends on seed and item and not on the order of items.

An input on which a change finds nothing to do comes back as it was: count those, and report the
drop over the others or over all, but say which. All word lists are English.

Catalogue after HELM's (Liang et al., TMLR 2023, appendix D) for text, and after Hendrycks and
Dietterich, ICLR 2019, for images; lists and code are our own.
"""
