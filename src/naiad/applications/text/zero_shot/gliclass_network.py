"""GLiClass networks: a text and all of its labels in one pass, run by torch.

The architecture is that of Knowledgator's gliclass library (arXiv:2508.07662, "uni-encoder"). An
encoder of the transformers library reads ``<<LABEL>>a<<LABEL>>b<<SEP>>text``. The states at the
label marks and a pool of all states pass a projection each, and a scorer compares them. Tests
compare it with the library, one text at a time: of several texts, the library pools padding too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from naiad.applications.text.embedding.bert import IDS, MASK
from naiad.applications.text.embedding.card import CONFIG_FILE, TORCH_FILE
from naiad.applications.text.embedding.networks import TORCH_EXTRA, Floats, Ints, need
from naiad.errors import WeightsError
from naiad.weights import read_text

_EPSILON: Final = 1e-8
_POOLINGS: Final = ("first", "last", "avg", "max")
_SCORERS: Final = ("simple", "weighted-dot", "mlp")
_OLD_BUFFERS: Final = ("position_embeddings", "embeddings.position_ids")


class GliclassConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a ``config.json`` that the scores depend on, with the library's defaults.

    Attributes:
        encoder_config: of the encoder, as transformers has it.
        vocab_size: of the encoder with the marks of labels; None for that of ``encoder_config``.
        class_token_index, text_token_index: ids of ``<<LABEL>>`` and ``<<SEP>>``.
        prompt_first: whether the labels come before the text.
        max_labels_alloc, max_num_classes: ``dynamic`` for any number of labels, a number, or
            ``fixed`` for ``max_num_classes``.
        extract_text_features: pool only the states from ``<<SEP>>`` on.
        embed_class_token: a label's state is that of its mark, not of the token behind.
    """

    encoder_config: dict[str, Any]
    class_token_index: int
    text_token_index: int
    vocab_size: int | None = None
    architecture_type: str = "uni-encoder"
    prompt_first: bool = False
    max_labels_alloc: int | str = "dynamic"
    max_num_classes: int = 25
    scorer_type: str = "simple"
    pooling_strategy: str = "first"
    class_token_pooling: str = "first"
    embed_class_token: bool = True
    extract_text_features: bool = False
    normalize_features: bool = False
    projector_hidden_act: str = "gelu"
    encoder_layer_id: int = -1
    use_lstm: bool = False
    squeeze_layers: bool = False
    use_segment_embeddings: bool = False
    use_calibrator: bool = False

    @property
    def most_labels(self) -> int | None:
        """Maximum number of labels, or None for any number."""
        if self.max_labels_alloc == "dynamic":
            return None
        return (
            self.max_labels_alloc
            if isinstance(self.max_labels_alloc, int)
            else (self.max_num_classes)
        )


def read_config(folder: Path) -> GliclassConfig:
    """Read the ``config.json`` of a folder.

    Raises:
        WeightsError: it is not that of a GLiClass network, or of one that Naiad does not run.
    """
    path = folder / CONFIG_FILE
    try:
        config = msgspec.json.decode(read_text(path), type=GliclassConfig)
    except msgspec.DecodeError as error:
        raise WeightsError(f"{path} is not that of a GLiClass network: {error}") from error
    wanted: list[tuple[str, tuple[Any, ...]]] = [
        ("architecture_type", ("uni-encoder",)),
        ("scorer_type", _SCORERS),
        (
            "pooling_strategy",
            _POOLINGS[:1] + _POOLINGS[2:] if config.extract_text_features else _POOLINGS,
        ),
        ("class_token_pooling", ("first", "average")),
        ("encoder_layer_id", (-1,)),
        *((name, (False,)) for name in ("use_lstm", "squeeze_layers")),
        *((name, (False,)) for name in ("use_segment_embeddings", "use_calibrator")),
    ]
    for name, values in wanted:
        if (value := getattr(config, name)) not in values:
            known = " or ".join(str(one) for one in values)
            raise WeightsError(f"{path}: {name} is {value}; Naiad runs {known}")
    return config


class GliclassNetwork:
    """A GLiClass network from a folder with ``config.json`` and ``model.safetensors``."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Load it onto ``device`` (``"cpu"``, ``"cuda:0"``). No code of the folder is run.

        Raises:
            WeightsError: a tensor is missing, or transformers does not know the encoder.
            MissingExtra: transformers or torch is not installed.
        """
        self._torch: Any = need("torch", TORCH_EXTRA)
        self.config = read_config(folder)
        load_file = need("safetensors.torch", TORCH_EXTRA).load_file
        try:
            tensors: Mapping[str, Any] = load_file(folder / TORCH_FILE, device=device)
        except (OSError, RuntimeError, ValueError) as error:
            raise WeightsError(f"{folder / TORCH_FILE} cannot be loaded: {error}") from error
        floats = {name.removeprefix("model."): one.float() for name, one in tensors.items()}
        begin = "encoder_model."
        self._heads = {name: one for name, one in floats.items() if not name.startswith(begin)}
        encoder = {
            name.removeprefix(begin): one for name, one in floats.items() if name.startswith(begin)
        }
        self._encoder = self._load_encoder(folder, encoder).to(device).eval()
        self._device = device
        self._padding = int(getattr(self._encoder.config, "pad_token_id", None) or 0)
        activations = need("transformers.activations", TORCH_EXTRA)
        self._activation = activations.ACT2FN[self.config.projector_hidden_act]

    def __call__(self, tokens: Mapping[str, Ints]) -> Floats:
        """Return a logit for each label of each text, float32 ``[texts, most labels]``.

        Texts with fewer labels have -inf at the end.

        Args:
            tokens: int64 ``[texts, tokens]`` each: ``input_ids`` and ``attention_mask``.
        """
        torch, config = self._torch, self.config
        mask = torch.from_numpy(tokens[MASK]).to(self._device)
        padded = np.where(tokens[MASK] > 0, tokens[IDS], self._padding)
        ids = torch.from_numpy(padded).to(self._device)
        with torch.inference_mode():
            states = self._encoder(input_ids=ids, attention_mask=mask)[0]
            here = mask > 0
            marks = here & (ids == config.class_token_index)
            after = (ids == config.text_token_index).cumsum(1) > 0
            labels = self._projected("classes_projector", self._labels(states, marks, here, after))
            inside = here & after if config.extract_text_features else here
            text = self._projected("text_projector", self._text(states, inside, mask))
            logits = self._scores(text, labels)
            if config.normalize_features:
                logits = logits * self._tensor("logit_scale")
            number = torch.arange(logits.shape[1], device=self._device)
            logits = logits.masked_fill(number >= marks.sum(1, keepdim=True), -torch.inf)
            return logits.float().cpu().numpy()

    def _labels(self, states: Any, marks: Any, here: Any, after: Any) -> Any:
        """Return a state per label, ``[texts, labels, width]``."""
        torch, config = self._torch, self.config
        most = int(marks.sum(1).max())
        if config.class_token_pooling == "first":
            places = torch.argsort(marks.int(), dim=1, descending=True, stable=True)[:, :most]
            if not config.embed_class_token:
                places = (places + 1).clamp(max=states.shape[1] - 1)
            return states.gather(1, places[:, :, None].expand(-1, -1, states.shape[2]))
        of = torch.where(here, marks.cumsum(1), 0)
        if (
            config.extract_text_features
        ):  # else the last label reaches to the end, as it was trained
            of = torch.where(after, 0, of)
        if not config.embed_class_token:
            of = torch.where(marks, 0, of)
        spans = (of[:, None] == torch.arange(1, most + 1, device=of.device)[:, None]).float()
        return spans @ states / spans.sum(2, keepdim=True).clamp(min=1)

    def _text(self, states: Any, inside: Any, mask: Any) -> Any:
        """Pool the states ``inside`` into one per text, ``[texts, width]``."""
        torch, how = self._torch, self.config.pooling_strategy
        lengths = mask.sum(1)
        if how in ("first", "last"):
            places = inside.int().argmax(1) if how == "first" else lengths - 1
            return states[torch.arange(len(states), device=states.device), places]
        if how == "avg":  # by the length with the labels, as it was trained
            return (states * inside[:, :, None]).sum(1) / lengths[:, None]
        highest = states.masked_fill(~inside[:, :, None], -torch.inf).amax(1)
        # The library puts zeros in the place of states that are left out.
        return torch.where((inside.sum(1) < lengths)[:, None], highest.clamp(min=0), highest)

    def _projected(self, name: str, x: Any) -> Any:
        x = self._linear(f"{name}.linear_2", self._activation(self._linear(f"{name}.linear_1", x)))
        if self.config.normalize_features:
            x = x / (x.norm(dim=-1, keepdim=True) + _EPSILON)
        return x

    def _scores(self, text: Any, labels: Any) -> Any:
        """Compare texts ``[texts, width]`` with their labels; return ``[texts, labels]``."""
        torch = self._torch
        if self.config.scorer_type == "simple":
            return self._torch.einsum("td,tld->tl", text, labels)
        if self.config.scorer_type == "mlp":
            both = torch.cat([text[:, None].expand_as(labels), labels], -1)
            inner = self._linear("scorer.mlp.0", both).relu()
            return self._linear("scorer.mlp.4", self._linear("scorer.mlp.2", inner).relu())[..., 0]
        text = self._linear("scorer.proj_text", text)[:, None].expand(-1, labels.shape[1], -1)
        (text, text_factor), (label, label_factor) = (
            x.chunk(2, -1) for x in (text, self._linear("scorer.proj_label", labels))
        )
        joined = torch.cat([text, label, text_factor * label_factor], -1)
        inner = self._linear("scorer.out_mlp.0", joined).relu()
        return self._linear("scorer.out_mlp.3", inner)[..., 0]

    def _linear(self, name: str, x: Any) -> Any:
        weight, bias = (self._tensor(f"{name}.{part}") for part in ("weight", "bias"))
        return self._torch.nn.functional.linear(x, weight, bias)

    def _tensor(self, name: str) -> Any:
        if name not in self._heads:
            raise WeightsError(f"the checkpoint has no model.{name}: it is not of its config.json")
        return self._heads[name]

    def _load_encoder(self, folder: Path, tensors: Mapping[str, Any]) -> Any:
        library = need("transformers", TORCH_EXTRA)
        about = {"model_type": "deberta-v2", **self.config.encoder_config}
        if self.config.vocab_size is not None:
            about["vocab_size"] = self.config.vocab_size
        try:
            config = library.AutoConfig.for_model(**about)
            encoder = library.AutoModel.from_config(config, trust_remote_code=False).float()
            missing, foreign = encoder.load_state_dict(tensors, strict=False)
        except (KeyError, RuntimeError, ValueError) as error:
            first = str(error).partition("\n")[0]
            raise WeightsError(
                f"{folder}: transformers cannot load its encoder: {first}"
            ) from error
        wrong = [*missing, *(name for name in foreign if name not in _OLD_BUFFERS)]
        if wrong:
            raise WeightsError(f"{folder}: its encoder is not of its config.json: {wrong[0]}")
        return encoder
