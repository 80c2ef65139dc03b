"""ViLBERT (Lu et al. 2019): two streams, one for the regions of a picture and one for words, that look at each other.

In a co-attention layer the queries of each stream meet the keys and values of the other (section 2.2, figure 2).
Two tasks teach both streams without labels (section 2.2): to fill in what was masked, words or the classes of regions,
and to tell whether a text belongs to a picture.

*Ours, smaller:* few narrow layers, normalised before and not after (as in all blocks of this course), and no perceptron
of its own behind a co-attention. *Ours, other:* the regions come from the scene's own boxes with a small network's
features, and their classes from a detector that is made to err; see `helpers.worlds.street.regions`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import roi_align

from helpers.models.layers import Block, MultiHeadAttention, attention, padding_mask, project
from helpers.models.resnet import StreetResNet

MASKED = 0.15  # of all words and of all regions
ZEROED = 0.9  # of the masked regions; the others keep their features
RANDOM, KEPT = 0.1, 0.1  # of the masked words; all others become <mask>
_NOT_ASKED = -100

Parts = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def co_attention(
    visual: Parts,
    language: Parts,
    heads: int,
    visual_mask: torch.Tensor | None = None,
    language_mask: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the regions gather from the words, and the words from the regions: float [B, N, D], float [B, T, D].

    visual: queries, keys and values of the regions, 3 × float [B, N, D]. language: those of the words, 3 × [B, T, D].
    Each stream's queries meet the other's keys and values. visual_mask, language_mask: bool that broadcast to
    [B, h, T, N] and [B, h, N, T], True where a region, or a word, may be looked at.
    """
    (query_v, key_v, value_v), (query_l, key_l, value_l) = visual, language
    to_visual = attention(query_v, key_l, value_l, heads, language_mask)
    to_language = attention(query_l, key_v, value_v, heads, visual_mask)
    return to_visual, to_language


class CoAttention(nn.Module):
    """`co_attention` with its projections; the parameters are those of two `torch.nn.MultiheadAttention`.

    Each stream projects its own queries, and the other stream's tokens to its keys and values.

    Args:
        visual, language: numbers per region and per word.
        heads: of both; must divide both widths.
    """

    def __init__(self, visual: int, language: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.for_visual = MultiHeadAttention(visual, heads, language)
        self.for_language = MultiHeadAttention(language, heads, visual)

    def forward(
        self,
        visual: torch.Tensor,
        language: torch.Tensor,
        visual_mask: torch.Tensor | None = None,
        language_mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """float [B, N, visual], float [B, T, language] -> the same shapes; masks as in `co_attention`."""
        query_v, key_l, value_l = project(self.for_visual, visual, language)
        query_l, key_v, value_v = project(self.for_language, language, visual)
        to_visual, to_language = co_attention(
            (query_v, key_v, value_v), (query_l, key_l, value_l), self.heads, visual_mask, language_mask
        )
        return self.for_visual.out_proj(to_visual), self.for_language.out_proj(to_language)

    def weights(
        self,
        visual: torch.Tensor,
        language: torch.Tensor,
        visual_mask: torch.Tensor | None = None,
        language_mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Where each region looks among the words, and each word among the regions: [B, h, N, T], [B, h, T, N]."""
        return (
            self.for_visual.weights(visual, language, language_mask),
            self.for_language.weights(language, visual, visual_mask),
        )


class CoLayer(nn.Module):
    """A co-attention around shortcuts, then one Transformer block for each stream."""

    def __init__(self, visual: int, language: int, heads: int) -> None:
        super().__init__()
        self.ln_visual, self.ln_language = nn.LayerNorm(visual), nn.LayerNorm(language)
        self.co_attention = CoAttention(visual, language, heads)
        self.visual, self.language = Block(visual, heads), Block(language, heads)

    def forward(
        self,
        visual: torch.Tensor,
        language: torch.Tensor,
        visual_mask: torch.Tensor | None = None,
        language_mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Shapes and masks as in CoAttention."""
        normal = self.ln_visual(visual), self.ln_language(language)
        to_visual, to_language = self.co_attention(*normal, visual_mask, language_mask)
        return self.visual(visual + to_visual, visual_mask), self.language(language + to_language, language_mask)


class Regions(NamedTuple):
    """What is seen of B pictures; the first region, <IMG>, is the whole picture."""

    features: torch.Tensor  # float [B, N, F]
    boxes: torch.Tensor  # float [B, N, 5]: left, top, right, bottom and area, 0 to 1
    real: torch.Tensor  # bool [B, N], False where a picture has fewer regions

    def rows(self, which: torch.Tensor | slice) -> Regions:
        """The regions of some of the pictures."""
        return Regions(*(part[which] for part in self))


class Streams(NamedTuple):
    """What both streams hold in the end."""

    visual: torch.Tensor  # float [B, N, visual]
    language: torch.Tensor  # float [B, T, language]


class ViLBERT(nn.Module):
    """Two streams with co-attention, and what is read off them.

    Args:
        vocabulary: how many ids there are.
        features: numbers per region.
        classes: of regions.
        answers: how many answers a question may have; 0 for no such head.
        length: the most tokens of a text.
        visual, language: numbers per token of the streams.
        heads: of both.
        text_layers: blocks of the words alone, before the first co-attention.
        co_layers: how often the streams look at each other.
    """

    def __init__(
        self,
        vocabulary: int,
        features: int,
        classes: int,
        answers: int = 0,
        length: int = 48,
        visual: int = 128,
        language: int = 128,
        heads: int = 4,
        text_layers: int = 2,
        co_layers: int = 2,
    ) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary, language)
        self.position_embedding = nn.Embedding(length, language)
        for embedding in (self.token_embedding, self.position_embedding):
            nn.init.normal_(embedding.weight, std=0.02)
        # Features and box are projected and summed (section 2.2 of the paper).
        self.feature_projection, self.box_projection = nn.Linear(features, visual), nn.Linear(5, visual)
        self.ln_region = nn.LayerNorm(visual)
        self.text_blocks = nn.ModuleList(Block(language, heads) for _ in range(text_layers))
        self.co_layers = nn.ModuleList(CoLayer(visual, language, heads) for _ in range(co_layers))
        self.ln_visual, self.ln_language = nn.LayerNorm(visual), nn.LayerNorm(language)
        self.pool_visual, self.pool_language = nn.Linear(visual, language), nn.Linear(language, language)
        self.class_head = nn.Linear(visual, classes)
        self.alignment_head = nn.Linear(language, 1)
        self.answer_head = nn.Sequential(nn.Linear(language, 2 * language), nn.GELU(), nn.Linear(2 * language, answers))

    def forward(self, regions: Regions, ids: torch.Tensor, real: torch.Tensor | None = None) -> Streams:
        """Regions of B pictures and ids int64 [B, T]; real: bool [B, T], False on padding (default: id 0).

        Raises ValueError for a text that is too long, or another number of pictures.
        """
        if ids.shape[1] > self.position_embedding.num_embeddings:
            raise ValueError(
                f"ids: {ids.shape[1]} tokens are more than the {self.position_embedding.num_embeddings} that this "
                "model has positions for: shorten the text"
            )
        if len(regions.features) != len(ids):
            raise ValueError(f"regions: {len(regions.features)} pictures for {len(ids)} texts; give one for each")
        words = padding_mask(ids != 0 if real is None else real)  # [B, 1, 1, T]
        seen = padding_mask(regions.real)  # [B, 1, 1, N]
        visual = self.ln_region(self.feature_projection(regions.features) + self.box_projection(regions.boxes))
        language = self.token_embedding(ids) + self.position_embedding.weight[: ids.shape[1]]
        for block in self.text_blocks:
            language = block(language, words)
        for layer in self.co_layers:
            visual, language = layer(visual, language, seen, words)
        return Streams(self.ln_visual(visual), self.ln_language(language))

    def words(self, streams: Streams) -> torch.Tensor:
        """Logits of the word at each place, float [B, T, vocabulary]."""
        return streams.language @ self.token_embedding.weight.T

    def classes(self, streams: Streams) -> torch.Tensor:
        """Logits of the class of each region, float [B, N, classes]."""
        return self.class_head(streams.visual)

    def pooled(self, streams: Streams) -> torch.Tensor:
        """h_IMG ⊙ h_CLS: what the whole picture and the whole text hold, multiplied, float [B, language].

        Each goes through a linear layer and a ReLU first, as in the authors' code.
        """
        picture = self.pool_visual(streams.visual[:, 0]).relu()
        return picture * self.pool_language(streams.language[:, 0]).relu()

    def alignment(self, streams: Streams) -> torch.Tensor:
        """Logits that the text belongs to the picture, float [B]. In the authors' code label 0 means that it does."""
        return self.alignment_head(self.pooled(streams))[:, 0]

    def answer(self, streams: Streams) -> torch.Tensor:
        """Logits of the answers to a question, float [B, answers]."""
        return self.answer_head(self.pooled(streams))

    @torch.no_grad()
    def looks(self, regions: Regions, ids: torch.Tensor) -> list[torch.Tensor]:
        """Where each word looks in the picture, in each co-attention layer: float [B, h, T, N]; each row sums to 1."""
        found: list[torch.Tensor] = []

        def note(layer: CoAttention, inputs: tuple, out: tuple) -> None:
            found.append(layer.weights(*inputs)[1])

        hooks = [layer.co_attention.register_forward_hook(note) for layer in self.co_layers]
        try:
            self(regions, ids)
        finally:
            for hook in hooks:
                hook.remove()
        return found


# Masked multimodal learning


def mask_words(
    ids: torch.Tensor, maskable: torch.Tensor, mask: int, vocabulary: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Texts of which 15 % of the words are to be filled in, int64 [B, T], and which ones, bool [B, T].

    Of those 80 % become the id `mask`, 10 % a random id, 10 % stay (Devlin et al. 2019, section 3.1). ids: int64
    [B, T]. maskable: bool [B, T], False on padding and marks.
    """
    chosen = (torch.rand(ids.shape, generator=generator) < MASKED) & maskable
    how = torch.rand(ids.shape, generator=generator)
    other = torch.randint(vocabulary, ids.shape, generator=generator)
    ids = torch.where(chosen & (how >= RANDOM + KEPT), mask, ids)
    return torch.where(chosen & (how < RANDOM), other, ids), chosen


def mask_regions(regions: Regions, generator: torch.Generator) -> tuple[Regions, torch.Tensor]:
    """Regions of which 15 % are to be named, and which ones, bool [B, N]; never <IMG>.

    The features of 90 % of those are zero, the others stay; boxes are always given (section 2.2 of the paper).
    """
    chosen = (torch.rand(regions.real.shape, generator=generator) < MASKED) & regions.real
    chosen[:, 0] = False
    zeroed = chosen & (torch.rand(chosen.shape, generator=generator) < ZEROED)
    return regions._replace(features=regions.features.masked_fill(zeroed[..., None], 0.0)), chosen


def word_loss(logits: torch.Tensor, ids: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """The mean of −ln p of the words that were masked: logits [B, T, V], ids int64 [B, T], chosen bool [B, T].

    0 if none was.
    """
    if not chosen.any():
        return logits.sum() * 0
    return F.cross_entropy(
        logits.flatten(0, 1), ids.masked_fill(~chosen, _NOT_ASKED).flatten(), ignore_index=_NOT_ASKED
    )


def region_loss(logits: torch.Tensor, posteriors: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """The mean KL divergence of the prediction from the detector's distribution, over the regions that were masked.

    logits: float [B, N, classes]. posteriors: float [B, N, classes], each row a distribution. chosen: bool [B, N].
    0 if none was masked.
    """
    if not chosen.any():
        return logits.sum() * 0
    return F.kl_div(logits[chosen].log_softmax(1), posteriors[chosen], reduction="batchmean")


class Detector(nn.Module):
    """Features of regions from the frozen convolutions of a trained network, in place of a detector's.

    The features are those of two stages of `network`, sampled at 2 × 2 places of each box (RoIAlign, He et al. 2017).
    """

    def __init__(self, network: StreetResNet) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        """uint8 [B, 3, S, S] and boxes float [B, N, 4 or 5], left, top, right, bottom, 0 to 1 -> float [B, N, F]."""
        x = self.network.stem((images.float() - 128) / 64)
        grids = []
        for stage in self.network.stages:
            x = stage(x)
            grids.append(x)
        corners = boxes[..., :4].float()
        found = []
        for grid in grids[-3:-1]:
            places = [own * grid.shape[-1] for own in corners]  # in cells of the grid
            found.append(roi_align(grid, places, 2, aligned=True).flatten(1))  # [B·N, C·4]
        return torch.cat(found, 1).view(*boxes.shape[:2], -1)

    @property
    def width(self) -> int:
        """How many numbers a region's features have."""
        channels = [stage.conv2.out_channels for stage in list(self.network.stages)[-3:-1]]
        return 4 * sum(channels)
