import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translator.text import (
    LANGUAGES,
    SPEECH_LEVELS,
    Language,
    Sentence,
    clean,
    compose_jamo,
    detect_language,
    join_sentences,
    speech_level,
    split_sentences,
)

# Half of the characters are those that the rules look at, so that hypothesis meets them often.
texts = st.text(
    st.one_of(
        st.characters(), st.sampled_from(" \n\r\t.!?…。\"'“”()[]「」가다요ㅋaA1\u200d\ufe0f👍❤\u1100\u1161\u11a8")
    )
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\0b\x07c", "abc"),
        ("\ufeff안녕\u200b하세요\u202e", "안녕하세요"),
        ("줄\n\t바꿈\r\n", "줄\n\t바꿈\r\n"),
        ("a\fb", "a b"),
        ("\ud800!", "\ufffd!"),
        ("👨‍👩‍👧 ❤️ 1️⃣", "👨‍👩‍👧 ❤️ 1️⃣"),
        ("a\u200db\ufe0f", "ab"),
        (unicodedata.normalize("NFD", "한글.txt"), "한글.txt"),
        ("Ａ１", "Ａ１"),
    ],
)
def test_clean(text: str, expected: str) -> None:
    assert clean(text) == expected


@given(texts)
def test_clean_twice_changes_nothing(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    cleaned.encode()


@pytest.mark.parametrize("text", ["ㅋㅋㅋ", "ㅠㅠ 안녕", "ㄱ", "값이 비싸다ㅎㅎ", "한글 hello"])
def test_compose_jamo_undoes_the_tokenizer(text: str) -> None:
    assert compose_jamo(unicodedata.normalize("NFKC", text)) == text


def test_compose_jamo_lone_final_consonant() -> None:
    assert compose_jamo("\u11a8 \u11b9") == "ㄱ ㅄ"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("안녕하세요", "ko"),
        ("Hello there", "en"),
        ("iPhone 15 샀어?", "ko"),
        ("나는 Python으로 data pipeline을 만든다", "ko"),
        ("componentWillUnmount가 componentDidMount와 반대로 동작합니다.", "ko"),
        ("https://github.com/facebook/react/issues 보세요", "ko"),
        ("New York에 가 봤어?", "ko"),
        ("What does 감사합니다 mean?", "en"),
        ("The Korean word 사랑 means love.", "en"),
        ("김치찌개 is my favorite food.", "en"),
        ("ㅋㅋㅋ", "ko"),
        ("\uffa1\uffa1", "ko"),
        ("café", "en"),
        ("https://example.com", "en"),
        ("", None),
        ("12:30 😀 !?", None),
        ("你好", None),
    ],
)
def test_detect_language(text: str, language: Language | None) -> None:
    assert detect_language(text) == language


@given(texts)
def test_detect_language_never_fails(text: str) -> None:
    assert detect_language(text) in (*LANGUAGES, None)


LEVELS = {
    "polite": [
        "아니요",
        "운동이 필요해요.",
        "내일 갈게요 ㅋㅋ",
        "그렇죠?",
        "어서 오세요~ 😊",
        "저는 학생이에요 (아마도).",
        "커피요.",
        "밥 먹었어요, 지민아?",
        "감사해요, Tom!",
        "“어디 가세요?”",
    ],
    "formal": [
        "감사합니다",
        "지금 가시겠습니까?",
        "이리 오십시오!",
        "함께 갑시다.",
        "“안녕하십니까?”",
        "문의해 주시기 바랍니다 (필수)",
    ],
    "casual": [
        "밥 먹었어?",
        "나는 소녀야.",
        "가지 마.",
        "같이 갈래?",
        "내가 할게 ㅎㅎ",
        "그렇지 ㅠㅠ",
        "모르겠네.",
        "너무 비싸!",
        "뭐 해, 지민아?",
        "비가 왔거든.",
        "보고 싶어 ❤️",
        "여기는 복잡한 도시야.",
        "내일 떠난다고?",
        "도와줄까?",
    ],
    "plain": [
        "나는 간다.",
        "밥을 먹는다",
        "빨리 와라!",
        "같이 가자!",
        "뭐 하니?",
        "어디 가냐?",
        "예쁘구나.",
        "내가 데려다주마.",
        "그는 왔다.",
        "나는 학생이다.",
        "비가 오나 보다.",
        "가자, 어서!",
        "굴착기가 땅을 판다.",
        "그는 “안녕.” 하고 말했다.",
    ],
    None: [
        *(
            "바다",
            "요리",
            "필요",
            "중요",
            "개요",
            "수요",
            "분야",
            "시야",
            "피자",
            "남자",
            "친구",
            "영어",
            "동네",
            "군대",
        ),
        *("나라", "카메라", "편지", "아버지", "어머니?", "언니?", "올해", "샤워", "타워", "배려", "누구나", "오빠"),
        *(
            "회의 개요",
            "예상보다",
            "여행을 위해",
            "우리 아버지!",
            "시간대",
            "예를 들어",
            "빨래",
            "담요",
            "네",
            "다",
            "요",
        ),
        *("", "123", "👍", "Hello there.", "서울 여행 안내", "관리자", "참가자", "제품 하자", "배우자", "핸들러"),
    ],
}


@pytest.mark.parametrize(("sentence", "level"), [(text, level) for level, group in LEVELS.items() for text in group])
def test_speech_level(sentence: str, level: str | None) -> None:
    assert speech_level(sentence) == level


@given(texts)
def test_speech_level_never_fails(text: str) -> None:
    assert speech_level(text) in (*SPEECH_LEVELS, None)


# "|" stands where a sentence ends.
KOREAN = """
그는 "안녕." 하고 말했다. |나는 웃었다.
"우리는 포기하지 않습니다."라고 시장은 말했다. |모두 박수를 쳤다.
“어디 가니?” 하고 어머니가 물으셨다. |나는 대답하지 않았다.
밥을 먹고 갔다.|그리고 잠을 잤다.
정말?! |믿을 수가 없어!!
원주율은 약 3.14이다. |기억해 두자.
버전 v2.0이 나왔다. |내려받으세요.
음... 그러니까 말이야, 돈이 없어. |좀 빌려줘.
1. 첫째 항목입니다. |그다음을 보세요.
2024. 3. 15. 회의가 열렸다. |모두 참석했다.
https://example.com/a.b?c=d 를 여세요. |그다음 로그인하세요.
문의는 help@example.com으로 보내 주세요. |감사합니다.
그는 (사실은 어제 왔다.) 아무 말도 하지 않았다. |이상했다.
Node.js를 설치하세요. |Python 3.11도 필요합니다.
A씨는 U.S. 시민이다. |B씨는 아니다.
진짜요?ㅋㅋ |대박이네요!
좋아요! 👍 |내일 봐요.
안녕하세요.|저는 민수입니다.|반갑습니다.
사과, 배, 감 등. |모두 과일이다.
그는 "간다. 잘 있어." 하고 떠났다. |그게 마지막이었다.
「안녕하세요.」라는 인사말입니다. |따라 해 보세요.
그가 말했다. |"비가 온다." |그녀가 웃었다.
아, 네. |알겠습니다.
가. 나. 다. 순서로 적는다. |틀리지 마라.
"""
ENGLISH = """
Dr. Smith arrived at 5 p.m. and left. |Nobody saw him.
She lives in the U.S. with Mr. and Mrs. Brown. |They are kind.
Use a container, e.g. Docker. |It is easier.
Pi is about 3.14. |Remember it.
"Hello." |"Who is it?" she asked.
He said, "I am tired. Let me go." |Then he left.
What?! |You cannot be serious!!
Well... |I do not know.
I was... not sure about it. |Sorry.
See https://example.com/a.html?q=1. |Then log in.
He left (it was late.) without a word. |It was odd.
(He was late.) |We started without him.
J. K. Rowling wrote it. |I read it.
1. Open the file. |Then save it.
It costs $3.50. |That is cheap.
The company, Acme Inc., was sold. |Nobody knew.
See Fig. 3 and No. 5 for details. |They help.
I saw him at 3 p.m. |He looked fine.
Great! 👍 |See you tomorrow.
Open text.py and edit it. |Save.
Yahoo! is a company. |So is Google.
i like it. |you do too.
"""
HARD = [(case, language) for language, cases in (("ko", KOREAN), ("en", ENGLISH)) for case in cases.strip().split("\n")]


@pytest.mark.parametrize(("marked", "language"), HARD)
def test_split_sentences(marked: str, language: Language) -> None:
    sentences = split_sentences(marked.replace("|", ""), language)
    assert [sentence.text for sentence in sentences] == [part.strip() for part in marked.split("|")]


def test_line_breaks_always_end_a_sentence() -> None:
    text = "  제목\r\n\n\t본문입니다.  둘째 줄 \u2028끝\n"
    sentences = split_sentences(text, "ko")
    assert [sentence.text for sentence in sentences] == ["제목", "본문입니다.", "둘째 줄", "끝"]
    assert sentences[0].before == "  "
    assert sentences[-1].after == "\n"
    assert join_sentences(sentences) == text


def test_blank_text() -> None:
    assert split_sentences("", "ko") == []
    assert join_sentences(split_sentences(" \n ", "en")) == " \n "


def test_join_adds_a_blank_where_only_korean_can_do_without() -> None:
    translated = [Sentence("I left."), Sentence("Then I slept.")]
    assert join_sentences(translated) == "I left. Then I slept."


@given(texts, st.sampled_from(LANGUAGES))
def test_joining_gives_the_text_back(text: str, language: Language) -> None:
    sentences = split_sentences(text, language)
    assert join_sentences(sentences) == text
    assert all(sentence.text == sentence.text.strip() for sentence in sentences)


@given(st.lists(st.sampled_from([case.replace("|", "") for case, _ in HARD] + [" ", "\n", "“", '"', "..."])))
def test_joining_gives_real_text_back(parts: list[str]) -> None:
    for language in LANGUAGES:
        assert join_sentences(split_sentences("".join(parts), language)) == "".join(parts)


@pytest.mark.parametrize("unit", ["가", "a ", ".", "가.", ". ", '"', '"(', "“", "! 👍", "1. ", "' ", "갔다.그리고"])
def test_long_text_takes_linear_time(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    start = time.perf_counter()
    assert join_sentences(split_sentences(text, "ko")) == text
    speech_level(text)
    detect_language(text)
    clean(text)
    assert time.perf_counter() - start < 3
