"""Texts compared with right ones: filters, the libraries' own numbers, hostile predictions."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from ml_core.answers.filters import compile_filters
from ml_core.answers.text import KIND, RightTexts
from ml_core.assessment import assess
from ml_core.data.marks import Marks
from ml_core.data.schema import read_items
from ml_core.errors import PlatformError, UserError
from ml_core.evaluate import get_task
from ml_core.generation import ComparisonSpec, GenerationSpec, TextFilter
from ml_core.metrics import Setting
from ml_core.metrics.texts import METRICS, Compared, bleu_of, chrf_of
from ml_core.records import RecordError, from_json
from ml_core.specs import DataSpec, EvaluationSpec, ModelSpec

pytestmark = pytest.mark.pure

SETTING = Setting(0, 200, 0)
WORDS = (
    "the cat sat on a mat, and dogs ran (quickly) home. It's 3 o'clock; stories end well!".split()
)


def texts(n, rng, longest=14):
    return [" ".join(rng.choice(WORDS, rng.integers(1, longest))) for _ in range(n)]


@pytest.fixture(scope="module")
def compared():
    """Answers that share words with one to three right texts, an empty one among them."""
    rng = np.random.default_rng(0)
    right = tuple(tuple(texts(int(rng.integers(1, 4)), rng)) for _ in range(40))
    said = []
    for row in right:
        words = row[0].split()
        kept = [w for w in words if rng.random() < 0.7] + texts(1, rng, 5)
        said.append(" ".join(kept))
    said[3], said[7] = "", right[7][0]
    return Compared(tuple(said), right)


def streams(right):
    width = max(map(len, right))
    return [[row[at] if at < len(row) else None for row in right] for at in range(width)]


def test_bleu_and_chrf_are_sacrebleus(compared):
    bleu = sacrebleu.corpus_bleu(list(compared.answers), streams(compared.right), force=True)
    chrf = sacrebleu.corpus_chrf(list(compared.answers), streams(compared.right), word_order=2)
    ours = METRICS["bleu"].compute(compared, SETTING), METRICS["chrf"].compute(compared, SETTING)
    assert ours[0].value == pytest.approx(bleu.score, abs=1e-6)
    assert ours[1].value == pytest.approx(chrf.score, abs=1e-6)
    assert 5 < bleu.score < 95
    signature = "nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:"
    assert ours[0].method.startswith(signature + sacrebleu.__version__ + "; metric of sums; ")
    assert "nc:6|nw:2|space:no|version:" in ours[1].method
    assert ours[0].ci_low < ours[0].value < ours[0].ci_high


@pytest.mark.parametrize("draw", range(4))
def test_corpus_metrics_are_made_again_from_the_sums_of_a_draw(compared, draw):
    rows = np.random.default_rng(draw).integers(0, 40, size=3 if draw == 3 else 40)
    said = [compared.answers[at] for at in rows]
    right = streams([compared.right[at] for at in rows])
    found = bleu_of(compared.bleu.rows[rows].sum(axis=0, keepdims=True))[0]
    assert found == pytest.approx(sacrebleu.corpus_bleu(said, right, force=True).score, abs=1e-6)
    found = chrf_of(compared.chrf.rows[rows].sum(axis=0, keepdims=True))[0]
    expected = sacrebleu.corpus_chrf(said, right, word_order=2).score
    assert found == pytest.approx(expected, abs=1e-6)


EDGES = [
    ("", "a cat"),
    ("a", "a cat"),
    ("dog", "a cat"),
    ("a cat sat on", "a cat sat on"),
    ("a cat on sat", "a cat sat on"),
    ("今天 天气 很 好", "今天天气很好"),
]


@pytest.mark.parametrize("tokenizer", ["13a", "zh", "char"])
@pytest.mark.parametrize(("said", "right"), EDGES)
def test_bleu_without_some_ngrams_is_sacrebleus(said, right, tokenizer):
    ours = METRICS["bleu"].compute(Compared((said,), ((right,),), tokenizer), SETTING)
    expected = sacrebleu.corpus_bleu([said], [[right]], tokenize=tokenizer, force=True).score
    assert ours.value == pytest.approx(expected, abs=1e-6)
    assert f"|tok:{tokenizer}|" in ours.method
    assert ours.se is None
    chrf = METRICS["chrf"].compute(Compared((said,), ((right,),)), SETTING)
    expected = sacrebleu.corpus_chrf([said], [[right]], word_order=2).score
    assert chrf.value == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["rouge1", "rouge2", "rougeL", "rougeLsum"])
def test_rouge_is_that_of_rouge_score_best_over_right_texts(name):
    said = ("The cats were running.\nDogs slept", "a story", "")
    right = (
        ("A cat runs.\nThe dog sleeps", "cats running\ndogs"),
        ("the stories end",),
        ("a cat",),
    )
    scorer = RougeScorer([name], use_stemmer=True)
    expected = [
        max(scorer.score(one, text)[name].fmeasure for one in row)
        for text, row in zip(said, right, strict=True)
    ]
    ours = METRICS[name].compute(Compared(said, right), SETTING)
    assert ours.value == pytest.approx(np.mean(expected), abs=1e-6)
    assert ours.se == pytest.approx(np.std(expected, ddof=1) / np.sqrt(3), abs=1e-6)
    assert expected[0] > 0


def test_lsum_reads_a_sentence_a_line():
    """By hand: the union over lines finds both lines swapped, one sequence over all does not."""
    compared = Compared(("b c\na d",), (("a d\nb c",),))
    assert METRICS["rougeLsum"].compute(compared, SETTING).value == 1.0
    assert METRICS["rougeL"].compute(compared, SETTING).value == 0.5


def test_exact_match_and_f1_by_hand():
    compared = Compared(("a b", "c", None, "x y z"), (("b a", "a b"), ("d",), ("e",), ("x q",)))
    assert METRICS["exact_match"].compute(compared, SETTING).value == 0.25
    # 1, 0, 0, and one of three words against one of two: 2 * 1 / 5.
    assert METRICS["answer_f1"].compute(compared, SETTING).value == pytest.approx(1.4 / 4)


def test_nothing_answered_is_no_score_and_not_zero():
    for metric in METRICS.values():
        value = metric.compute(Compared((), ()), Setting(3, 100, 0))
        assert (value.value, value.se, value.n, value.n_missing) == (None, None, 0, 3)


FILTERS = [
    ([], " A\n", " A\n", " A "),
    (["strip"], " A\n", "A", "A"),
    (["lower", "strip"], " A\n", "a", "a"),
    (["spaces"], " A  b\n", "A b", "A"),
    (["nfkc"], "ｆｉ①", "fi1", " A "),
    (["squad"], "The  Cat, sat.", "cat sat", ""),
    (["first_line"], "\n \nA b\nc", "A b", " A "),
    (["strip", "first_line"], "", "", "A"),
    ([{"name": "regex", "pattern": r"#### (-?\d+)", "group": 1}], "so #### 42 #### 7", "42", " A "),
    ([{"name": "regex", "pattern": r"\d+", "take": "last"}], "so 42 or 7.", "7", " A "),
    ([{"name": "regex", "pattern": r"\d+"}, "strip"], "none", None, "A"),
    ([{"name": "regex", "pattern": "(a)|b", "group": 1}], "b", None, " A "),
]


@pytest.mark.parametrize(("given", "text", "answer", "right"), FILTERS)
def test_filters_change_both_sides_or_take_a_part_of_the_answer(given, text, answer, right):
    filters = [TextFilter(one) if isinstance(one, str) else TextFilter(**one) for one in given]
    of_answer, of_right = compile_filters(filters)
    assert of_answer(text) == answer
    assert of_right(" A ") == right


def test_a_pattern_that_would_never_end_elsewhere_ends_here():
    (of_answer, _) = compile_filters([TextFilter("regex", "(a+)+$")])
    assert of_answer("a" * 50_000 + "b") is None


BAD_SETTINGS = [
    (GenerationSpec, {"max_new_tokens": 0}),
    (GenerationSpec, {"max_new_tokens": 5000}),
    (GenerationSpec, {"max_new_tokens": True}),
    (GenerationSpec, {"stop": [""]}),
    (GenerationSpec, {"stop": "x"}),
    (GenerationSpec, {"stop": ["x"] * 17}),
    (GenerationSpec, {"temperature": -1}),
    (GenerationSpec, {"top_p": 0}),
    (GenerationSpec, {"num_beams": 4}),
    (GenerationSpec, {"prompt": "x" * 20_001}),
    (ComparisonSpec, {"bleu_tokenizer": "spm"}),
    (ComparisonSpec, {"filters": [{"name": "exec"}]}),
    (ComparisonSpec, {"filters": [{"name": "strip", "pattern": "x"}]}),
    (ComparisonSpec, {"filters": [{"name": "regex"}]}),
    (ComparisonSpec, {"filters": [{"name": "regex", "pattern": "a", "group": -1}]}),
    (ComparisonSpec, {"filters": [{"name": "strip"}] * 17}),
]


@pytest.mark.parametrize(("cls", "value"), BAD_SETTINGS)
def test_settings_out_of_range_are_refused(cls, value):
    with pytest.raises((UserError, RecordError)):
        from_json(cls, value)


@pytest.mark.parametrize(("pattern", "group"), [("(", 0), ("(?=a)", 0), ("a", 1), ("a{1001}", 0)])
def test_patterns_that_re2_does_not_take_are_refused(pattern, group):
    with pytest.raises(UserError, match="pattern"):
        compile_filters([TextFilter("regex", pattern, group)])


def read(tmp_path, task, columns, metrics=(), **comparison):
    pq.write_table(pa.table(columns), tmp_path / "d.parquet")
    data = DataSpec((str(tmp_path / "d.parquet"),))
    given = ComparisonSpec(**comparison) if comparison else ComparisonSpec()
    spec = EvaluationSpec(task, ModelSpec("m"), data, metrics=metrics, comparison=given)
    family = get_task(task)
    return KIND.read_truth(read_items(data, family.inputs, family.truth), spec)


BAD_TRUTH = [
    ("translation", {"references": [["a"], []]}, "have no right text"),
    ("translation", {"references": [["a"], ["b", None]]}, "empty"),
    ("translation", {"references": [["a"], None]}, "have no right text"),
    ("translation", {"references": ["a", "  "]}, "empty"),
    ("translation", {"references": [1, 2]}, "each row needs a text or a list of texts"),
    ("translation", {"references": [[1], [2]]}, "each row needs"),
    ("translation", {"targets": ["a", "b"]}, "no right texts"),
    ("translation", {"source": [None, "a"], "references": ["a", "b"]}, "have no text"),
    ("summarization", {"summary": ["a", "天气很好"]}, "use chrf for other scripts"),
]


@pytest.mark.parametrize(("task", "columns", "words"), BAD_TRUTH)
def test_right_texts_that_cannot_be_used_are_named(task, columns, words, tmp_path):
    role = get_task(task).inputs[0].name
    with pytest.raises(UserError, match=words):
        read(tmp_path, task, {role: ["x", "y"]} | columns)


def test_one_right_text_or_several_are_read_and_filtered(tmp_path):
    truth = read(tmp_path, "translation", {"source": ["x"], "references": [[" a ", "b"]]})
    assert truth.texts == (("a", "b"),)
    assert truth.metrics == ("bleu", "chrf")
    truth = read(tmp_path, "summarization", {"document": ["x"], "summary": ["A a"]}, ("chrf",))
    assert truth.texts == (("A a",),)


TRUTH = RightTexts(("0", "1"), (("a cat",), ("b",)), ComparisonSpec(), ("bleu", "exact_match"), 4)
GOOD = {
    "item_id": ["0", "1"],
    "prediction": [" a cat", None],
    "n_tokens": [2, 0],
    "stop": ["end", None],
    "truncated": [False] * 2,
    "error": [None, "not_finite"],
}
HOSTILE = [
    ({"prediction": [1, None]}, "no text"),
    ({"prediction": ["x" * 5000, None]}, "longer than its tokens allow"),
    ({"n_tokens": [-1, 0]}, "number of tokens"),
    ({"n_tokens": [5, 0]}, "number of tokens"),
    ({"n_tokens": [None, 0]}, "number of tokens"),
    ({"stop": ["bored", None]}, "why an answer ended"),
    ({"stop": [None, None]}, "why an answer ended"),
    ({"stop": ["end", "end"]}, "why an answer ended"),
    ({"item_id": ["0", "7"]}, "item ids"),
]


@pytest.mark.parametrize(("change", "words"), HOSTILE)
def test_predictions_that_were_not_asked_for_are_refused(change, words, tmp_path):
    pq.write_table(pa.table(GOOD | change), tmp_path / "p.parquet")
    with pytest.raises(PlatformError, match=words):
        KIND.read(tmp_path / "p.parquet", TRUTH)


def test_corpus_metrics_are_read_again_from_published_rows_clusters_and_all(tmp_path):
    right = tuple((text,) for text in ("a cat sat on it", "dogs ran home", "a b c d e", "x y"))
    said = ["a cat sat on a", "dogs ran", "a b c d e", None]
    metrics = ("bleu", "chrf")
    truth = RightTexts(tuple("0123"), right, ComparisonSpec(), metrics, 9)
    columns = {"item_id": list("0123"), "prediction": said, "n_tokens": [5, 2, 5, 0]}
    columns |= {"stop": ["end"] * 3 + [None], "truncated": [False] * 4}
    columns |= {"error": [None] * 3 + ["not_finite"]}
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    predictions = KIND.read(tmp_path / "p.parquet", truth)
    marks = Marks(clusters=("p", "p", "q", "q"), groups=("g", "h", "g", "h"))
    setting = Setting(1, 100, 0)
    found = assess(KIND, predictions, truth, marks, metrics=metrics, setting=setting).scores
    references = [[text for (text,) in right[:3]]]
    expected = sacrebleu.corpus_bleu(said[:3], references, force=True).score
    assert found.metrics[0].value == pytest.approx(expected, abs=1e-6)
    assert found.metrics[0].n_clusters == 2
    assert found.metrics[0].method.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|")
    of_g = found.slices[0].slices.groups[0]
    expected = sacrebleu.corpus_bleu([said[0], said[2]], [[right[0][0], right[2][0]]]).score
    assert (of_g.group, of_g.score.value) == ("g", pytest.approx(expected, abs=1e-6))


def test_published_rows_hold_the_answer_its_filtered_form_and_its_scores(tmp_path):
    pq.write_table(pa.table(GOOD), tmp_path / "p.parquet")
    read_back = KIND.read(tmp_path / "p.parquet", TRUTH)
    assert read_back.n_missing == 1
    first, second = KIND.samples(read_back, TRUTH).to_pylist()
    assert (first["prediction"], first["filtered"], first["target"]) == (
        " a cat",
        "a cat",
        ["a cat"],
    )
    assert first["exact_match"] == 1.0
    # Two words said, two right; both single words and the pair found; no longer runs.
    assert first["bleu_counts"] == [2, 2, 2, 1, 0, 0, 2, 1, 0, 0]
    assert second["bleu"] is second["exact_match"] is second["bleu_counts"] is None
    assert second["error"] == "not_finite"
    setting = Setting(read_back.n_missing, 50, 0)
    (value,) = KIND.score(read_back, TRUTH, metrics=("exact_match",), setting=setting).metrics
    assert (value.value, value.n, value.n_missing) == (1.0, 1, 1)
