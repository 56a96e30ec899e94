//! Whatever the CRM writes, the message is well formed: made-up values through every type, held against WeChat's
//! rules written apart from ours, and every cut against the standard's own idea of a character.

use chrono::FixedOffset;
use proptest::prelude::*;
use serde_json::{Value, json};
use unicode_properties::{GeneralCategory, UnicodeEmoji as _, UnicodeGeneralCategory as _};
use unicode_segmentation::UnicodeSegmentation as _;

use super::Field;
use super::rules::Kind;

/// Why WeChat would refuse a value, by the strictest reading of its documentation.
fn misfit(kind: &str, text: &str) -> Option<&'static str> {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator, PrivateUse};
    let length = text.encode_utf16().count();
    let nowhere = |c: char| {
        let category = c.general_category();
        matches!(
            category,
            Control | Format | LineSeparator | ParagraphSeparator | PrivateUse
        ) || c == '\u{20e3}'
            || ('\u{fe00}'..='\u{fe0f}').contains(&c)
            || !c.is_ascii() && c.is_emoji_char()
    };
    let han = |c: char| {
        c.general_category() == GeneralCategory::OtherLetter
            && ('\u{3400}'..='\u{3ffff}').contains(&c)
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let decimal = |text: &str| match text.split_once('.') {
        Some((whole, rest)) => digits(whole) && digits(rest),
        None => digits(text),
    };
    let clock =
        |text: &str| chrono::NaiveTime::parse_from_str(text, "%H:%M").is_ok() && text.len() == 5;
    let day = |text: &str| chrono::NaiveDate::parse_from_str(text, "%Y年%m月%d日").is_ok();
    let fits = match kind {
        "thing" => length <= 20,
        "number" => length <= 32 && decimal(text),
        "letter" => length <= 32 && text.bytes().all(|b| b.is_ascii_alphabetic()),
        "symbol" => length <= 5 && text.bytes().all(|b| b.is_ascii_punctuation()),
        "character_string" => length <= 32 && text.bytes().all(|b| b.is_ascii_graphic()),
        "time" => match text.split_once(' ') {
            Some((date, time)) => day(date) && clock(time),
            None => clock(text),
        },
        "date" => match text.split_once(' ') {
            Some((date, time)) => day(date) && clock(time),
            None => day(text),
        },
        "amount" => {
            let signed = text.strip_prefix(['￥', '$', '€', '£']);
            let number = signed.or_else(|| text.strip_suffix('元'));
            number.is_some_and(|n| decimal(n) && n.bytes().filter(u8::is_ascii_digit).count() <= 10)
        }
        "phone_number" => {
            length <= 17
                && text
                    .bytes()
                    .all(|b| b.is_ascii_digit() || b"+-".contains(&b))
        }
        "car_number" => {
            let inner = text.trim_start_matches(han).trim_end_matches(han);
            length <= 8
                && text.chars().filter(|c| han(*c)).count() <= 2
                && inner
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        }
        "name" => {
            length <= if text.chars().any(han) { 10 } else { 20 }
                && !text.chars().any(char::is_numeric)
        }
        "phrase" => length <= 5 && text.chars().all(han),
        "enum" | "enum_string" | "const" => ["低", "高"].contains(&text),
        _ => false,
    };
    match text {
        _ if text.trim().is_empty() => Some("is empty"),
        _ if text.chars().any(nowhere) => Some("has a character that belongs nowhere"),
        _ => (!fits).then_some("breaks the rule of its type"),
    }
}

fn piece() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "👩‍👩‍👧‍👦",
        "🇨🇳",
        "1️⃣",
        "❤️",
        "👍🏽",
        "☎",
        "©",
        "\u{202e}",
        "\u{2066}",
        "\u{200d}",
        "\u{200b}",
        "\u{feff}",
        "\0",
        "\n",
        "\t",
        "\u{85}",
        "\u{2028}",
        "\u{ad}",
        "مرحبا",
        "שלום",
        "ไทยำ",
        "हिन्दी",
        "한국어",
        "각",
        "ﾊﾟ",
        "ᄀᄀᆨ",
        "Zoë",
        "￥",
        "¥",
        "$",
        "+86",
        "粤A",
        "2026-11-22",
        "T13:29:17Z",
        " 24:00",
        "２０２６",
        "年1月1日",
        "9999-12-31T23:59:59Z",
        "~",
        "  ",
        ",000",
        "e5",
        ".5",
        "-",
        "字",
        "𠮷",
        "e\u{301}\u{301}\u{301}",
        "13800000000",
        "12个",
        "ß",
        "ﬁ",
    ]);
    prop_oneof![
        3 => words.prop_map(str::to_owned),
        2 => any::<char>().prop_map(String::from),
        2 => prop::char::range('\u{4e00}', '\u{9fff}').prop_map(String::from),
        1 => prop::char::range('\u{20000}', '\u{3134f}').prop_map(String::from),
        2 => prop::char::range(' ', '~').prop_map(String::from),
        1 => prop::char::range('\u{2000}', '\u{33ff}').prop_map(String::from),
        1 => (0_u32..1_000_000_000).prop_map(|number| number.to_string()),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..30).prop_map(|pieces| pieces.concat())
}

fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => text().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => (0_i64..300_000_000_000_000).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => text().prop_map(|text| json!([text])),
        1 => text().prop_map(|text| json!({"a": text})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_value_satisfies_the_rule_of_its_type(
        kind in prop::sample::select(Kind::ALL), given in anything(), fallback in anything(), sent_at in anything(),
        show in prop::sample::select(vec![Value::Null, "time".into(), "datetime".into(), "nonsense".into()]),
    ) {
        let mut field = json!({"from": ["payload.none", "payload.given"], "fallback": fallback, "show": show});
        if kind.is_listed() {
            field["values"] = json!(["低", "高"]);
        }
        let field: Field = serde_json::from_value(field).unwrap();
        let event = json!({"sentAt": sent_at, "payload": {"given": given}});
        let zone = FixedOffset::east_opt(8 * 3600).unwrap();
        let written = field.value(&format!("{}1", kind.word()), &event, &zone);
        prop_assert_eq!(misfit(kind.word(), &written), None, "{}: {:?}", kind.word(), written);
    }

    #[test]
    fn a_cut_never_goes_through_what_a_reader_sees_as_one(
        clusters in prop::collection::vec(prop::sample::select(vec![
            "王", "𠮷", "e\u{301}", "ö\u{323}", "각", "\u{1100}\u{1161}\u{11a8}", "ﾊﾟ", "กำ", "a", "。",
        ]), 30),
    ) {
        let long = clusters.concat();
        let field: Field = serde_json::from_value(json!({"from": "given"})).unwrap();
        let zone = FixedOffset::east_opt(0).unwrap();
        let written = field.value("thing1", &json!({"given": &long}), &zone);
        let kept = written.strip_suffix('…').unwrap();
        prop_assert!(written.encode_utf16().count() <= 20);
        let borders: Vec<usize> = long.grapheme_indices(true).map(|(at, _)| at).collect();
        prop_assert!(long.starts_with(kept) && borders.contains(&kept.len()), "{:?} of {:?}", kept, long);
    }
}
