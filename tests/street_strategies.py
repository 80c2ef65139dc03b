"""Hypothesis strategies for the street world: the whole space of valid scenes, not only the natural ones."""

from __future__ import annotations

from hypothesis import strategies as st

from helpers.worlds.street import scene as street

places = st.floats(0, 1, allow_nan=False)


@st.composite
def vehicles(draw: st.DrawFn, lane: int | None = None) -> street.Vehicle:
    """Any valid vehicle, in `lane` if one is given."""
    if lane is None:
        lane = draw(st.sampled_from(street.LANES))
    return street.Vehicle(
        kind=draw(st.sampled_from(street.KINDS)),
        colour=draw(st.sampled_from(street.COLOURS)),
        age=draw(st.sampled_from(street.AGES)),
        facing=draw(st.sampled_from(street.FACINGS)),
        parked=lane != 1 and draw(st.booleans()),
        x=draw(places),
        lane=lane,
    )


@st.composite
def trees(draw: st.DrawFn) -> street.Trees:
    """Any valid row of trees."""
    kind = draw(st.sampled_from(street.TREES))
    where = draw(st.lists(places, min_size=1, max_size=street.MAX_TREES, unique=True))
    return street.Trees(kind, tuple(sorted(where)), kind not in street.EVERGREEN and draw(st.booleans()))


beings = st.builds(street.Being, kind=st.sampled_from(street.BEINGS), x=places)


@st.composite
def scenes(draw: st.DrawFn) -> street.Scene:
    """Any valid scene: one to three vehicles from near to far, with or without trees, buildings and a being."""
    lanes = draw(st.lists(st.sampled_from(street.LANES), min_size=1, max_size=len(street.LANES), unique=True))
    return street.Scene(
        vehicles=tuple(draw(vehicles(lane)) for lane in sorted(lanes)),
        trees=draw(st.none() | trees()),
        surface=draw(st.sampled_from(street.SURFACES)),
        weather=draw(st.sampled_from(street.WEATHERS)),
        sky=draw(st.sampled_from(street.SKIES)),
        buildings=draw(st.sampled_from(street.BUILDINGS)),
        being=draw(st.none() | beings),
    )
