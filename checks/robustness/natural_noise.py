"""Whether everyday noise changes the answers."""

from __future__ import annotations

from collections.abc import Iterator

from auditkit.check import Context, Limit, check
from auditkit.finding import Measurement, Severity
from auditkit.metrics.noise import NoiseParams, noise_measurements
from auditkit.model import Capability


@check(
    "robustness.natural-noise",
    title="Everyday noise in a text hardly changes the answer",
    severity=Severity.MEDIUM,
    needs={Capability.NEW_INPUTS},
    params=NoiseParams,
    limits=(
        Limit("accuracy_drop", "max", 0.05, lowest=-1.0, means="a loss of accuracy by mild noise"),
        Limit("invariance", "min", 0.9, means="a share of answers that mild noise leaves alone"),
        Limit(
            "strong_accuracy_drop",
            "max",
            None,
            lowest=-1.0,
            means="the largest loss of accuracy by a strong noise",
        ),
        Limit(
            "strong_invariance",
            "min",
            None,
            means="the smallest share of answers that a strong noise leaves alone",
        ),
        Limit("noisy_accuracy", "min", None, means="the mean accuracy under mild noise"),
    ),
)
def natural_noise(context: Context, params: NoiseParams) -> Iterator[Measurement]:
    """Loss of accuracy, and answers changed, by noise that a reader hardly notices.

    What it measures:
        Thirteen noises, each mild and strong: slips on the keyboard (a neighbouring key, letters
        swapped, left out or repeated), misread scans, other capitals, punctuation and white space,
        contractions, British and American spelling, look-alike letters, characters of no width,
        and an added handle or URL. A mild noise touches one word of ten, a strong one every third.
        Each is put on `params.rows` rows (500) drawn from those it changes, so that the model is
        asked about 13,000 further texts at most. The drop is the accuracy on these rows as written
        less that with the noise, row by row; invariance is the share of answers that stay the
        same. Rows that a noise leaves as they are count in neither. A noise that finds something
        in fewer than one text of ten, and in fewer than 100 altogether, is listed as not measured.

    Why it matters:
        People mistype, paste invisible characters from web pages and shout in capitals. A model
        that answers otherwise then is wrong in use where it was right in the test, and the cheapest
        evasion of a filter is one character that nobody sees.

    How to read it:
        Every mild noise is judged on its own. Of the strong noises the worst is reported, and
        judged when `limits.strong_accuracy_drop` or `limits.strong_invariance` is set. A negative
        drop means the noise helped. Without labels only invariance is measured.

    What to do:
        White space, zero-width and look-alike characters and capitals are best undone before the
        model sees the text (Unicode NFKC, confusables, a case-insensitive tokenizer). Against slips
        and wording, train on texts with such noise. Leave noises that cannot occur out by naming
        the others in `params.noises`.

    Limits of this check:
        The noises are rules, not a record of what users type. A slip can happen to make another
        word, and where capitals or punctuation carry the meaning, an answer may rightly change.
        Letters are changed in Latin, Greek, Cyrillic and Armenian words only; keyboard (QWERTY),
        contractions and spelling are English. Handles, URLs and tags are left alone.

    References:
        Belinkov & Bisk 2018, Synthetic and natural noise both break neural machine translation;
        Ribeiro et al. 2020, Beyond accuracy: CheckList; Eger et al. 2019 (look-alikes); Boucher et
        al. 2022, Bad characters. Tango 1998 and McNemar 1947 for the paired comparison.
    """
    yield from noise_measurements(context, params)
