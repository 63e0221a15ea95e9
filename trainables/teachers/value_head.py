"""The trained part of a teacher of values: layers, the regression head behind them, and what they show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, final

from torch import Tensor, nn

from spaces.valence_arousal import BINS
from trainables.grids import TEACHER_GRID, pooled_attention, shares_of_cells

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN = (512, 128)
DROPOUT = 0.1


class Shown(NamedTuple):
    """What a teacher makes of a batch.

    `logits` [batch, values, bins]; of its last layer on the `TEACHER_GRID` the tokens [batch, cells, width] and the
    attention maps [batch, cells, cells], averaged over heads, rows summing to 1.
    """

    logits: Tensor
    tokens: Tensor
    maps: Tensor


@final
class ValueRegressor(nn.Module):
    """What `embed` makes of its input, through `layers` and `norm` to a head on the mean of the class tokens.

    The head is that of winzerprince/sentio, 512 and 128 wide, but for its end: a distribution for each value. `grid` is
    (bands, steps, heard steps); patches are numbered step by step within a band.
    """

    shares: Tensor

    def __init__(
        self,
        embed: nn.Module,
        layers: Iterable[nn.Module],
        norm: nn.LayerNorm,
        values: int,
        class_tokens: int,
        grid: tuple[int, int, int],
    ) -> None:
        super().__init__()
        self.embed, self.layers, self.norm = embed, nn.ModuleList(layers), norm
        self.values, self.class_tokens, self.grid = values, class_tokens, grid
        self.head = head(norm.normalized_shape[0], values)
        shares = shares_of_cells(TEACHER_GRID, (grid[2], grid[0]))
        self.register_buffer("shares", shares, persistent=False)

    def forward(self, given: Tensor) -> Tensor:
        """Logits [batch, values, bins]."""
        return self.logits(self.pooled(self._tokens(given)))

    def pooled(self, tokens: Tensor) -> Tensor:
        """[batch, width]: what the head hears of the tokens that the layers leave."""
        mean: Tensor = self.norm(tokens)[:, : self.class_tokens].mean(1)
        return mean

    def features(self, given: Tensor) -> Tensor:
        """[batch, width]: what the head hears."""
        return self.pooled(self._tokens(given))

    def logits(self, features: Tensor) -> Tensor:
        """[batch, values, bins]."""
        return self.head(features).unflatten(1, (self.values, BINS))  # type: ignore[no-any-return]

    def shown(self, given: Tensor) -> Shown:
        """The logits, and what led to them; a `RuntimeError` where the layers give no maps."""
        seen: list[Tensor] = []
        last: Any = self.layers[-1]
        handle = last.attention.register_forward_hook(lambda _module, _inputs, output: seen.append(output[1]))
        try:
            tokens = self._tokens(given)
        finally:
            handle.remove()
        if seen[0] is None:
            raise RuntimeError("the teacher's attention gives no maps: it is not computed eagerly")
        cells = self._in_time_order(tokens[:, self.class_tokens :])
        maps = seen[0][:, :, self.class_tokens :, self.class_tokens :].float().mean(1)
        maps = self._in_time_order(self._in_time_order(maps).transpose(1, 2)).transpose(1, 2)
        return Shown(self.logits(self.pooled(tokens)), self.shares @ cells.float(), pooled_attention(maps, self.shares))

    def _tokens(self, given: Tensor) -> Tensor:
        tokens: Tensor = self.embed(given)
        for layer in self.layers:
            tokens = layer(tokens, None)
        return tokens

    def _in_time_order(self, patches: Tensor) -> Tensor:
        """[batch, patches, ...], of the heard steps alone, band by band within a step."""
        bands, steps, heard = self.grid
        ordered: Tensor = patches.unflatten(1, (bands, steps))[:, :, :heard].transpose(1, 2)
        return ordered.flatten(1, 2)


def head(width: int, values: int) -> nn.Sequential:
    """[batch, width] to [batch, values * bins]."""
    first, second = HIDDEN
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Dropout(DROPOUT),
        nn.Linear(width, first),
        nn.GELU(),
        nn.Dropout(DROPOUT),
        nn.Linear(first, second),
        nn.GELU(),
        nn.Dropout(DROPOUT),
        nn.Linear(second, values * BINS),
    )
