"""How much of the workers an owner gets, where maintainers have said so."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from hub.models import Namespace

MIN_WEIGHT, MAX_WEIGHT = 0.1, 100.0


class Share(models.Model):
    """The weight of a user, or of the members of an organisation; whoever has none counts as 1."""

    namespace = models.OneToOneField(Namespace, on_delete=models.CASCADE, related_name="share")
    weight = models.FloatField(
        _("weight"),
        default=1.0,
        validators=[MinValueValidator(MIN_WEIGHT), MaxValueValidator(MAX_WEIGHT)],
        help_text=_("Two gets twice as much worker time as one, while both have runs that wait."),
    )
    note = models.CharField(_("why"), max_length=200, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(weight__gte=MIN_WEIGHT, weight__lte=MAX_WEIGHT),
                name="share_weight_in_bounds",
            )
        ]

    def __str__(self) -> str:
        return f"{self.namespace}: {self.weight:g}"
