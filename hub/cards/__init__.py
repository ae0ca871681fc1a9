"""Cards of models, data sets and Spaces (README.md): metadata checked, tags derived, text drawn."""

from hub.cards.checks import CardReport, check_card
from hub.cards.front_matter import Card, CardError, parse_card
from hub.cards.render import RENDERER, render_card, render_markdown
from hub.cards.tags import dataset_tags, model_tags, space_tags

__all__ = [
    "RENDERER",
    "Card",
    "CardError",
    "CardReport",
    "check_card",
    "dataset_tags",
    "model_tags",
    "parse_card",
    "render_card",
    "render_markdown",
    "space_tags",
]
