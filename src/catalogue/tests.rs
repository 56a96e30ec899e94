use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Kind::{Delivered, Outage, Permanent, Throttled, TokenRefused, Transient, Unknown};
use super::Origin::{BeforeSend, Direct, Http, Outer, Receiver, Runtime, Send, Token};
use super::Pause;
use super::{ENTRIES, Kind, Origin, by_key, local, lookup, to_markdown};
use crate::lang::Lang;

const CONFIG: Kind = Outage(Pause::For(Duration::from_secs(300)));
const MINUTE: Kind = Outage(Pause::For(Duration::from_secs(60)));
const HOUR: Kind = Outage(Pause::For(Duration::from_secs(3600)));
const DAY: Kind = Outage(Pause::For(Duration::from_secs(86_400)));
const TOMORROW: Kind = Outage(Pause::UntilTomorrow);

/// Section 8 of the checked WeChat reference, line by line, each code spelled out.
#[test]
fn every_code_has_the_kind_the_reference_gives_it() {
    let lines: &[(Origin, &[i32], Kind)] = &[
        (Http, &[500, 502, 503, 504], Unknown),
        (Http, &[412, 400, 401, 403, 404, 413], CONFIG),
        (Http, &[301, 302, 303, 307, 308], CONFIG),
        (Http, &[429], Throttled),
        (Token, &[-1], Throttled),
        (Token, &[45011], MINUTE),
        (Token, &[45009], TOMORROW),
        (Token, &[40001, 40002, 40013, 40125, 40164, 40243], CONFIG),
        (Token, &[41002, 41004, 43002, 50004, 50007, 61024], CONFIG),
        (Token, &[89501, 89503], CONFIG),
        (Token, &[89506], DAY),
        (Token, &[89507], HOUR),
        (Outer, &[40001, 40014, 42001], TokenRefused),
        (Outer, &[41001, 40101, 43002, 43003, 44002], CONFIG),
        (Outer, &[85088, 48001, 48004], CONFIG),
        (
            Outer,
            &[-501000, -501005, -501006, -501007, -501008],
            CONFIG,
        ),
        (Outer, &[-501009, -501018, -501019], CONFIG),
        (Outer, &[-601004, -601012, -601018], CONFIG),
        (
            Outer,
            &[45009, -501003, -501015, -501016, -501017],
            TOMORROW,
        ),
        (Outer, &[-501004], Throttled),
        (Runtime, &[429, 432], Throttled),
        (Outer, &[-1, -1000, -501001, -501002, -504001], Unknown),
        (Outer, &[-601001, -601003, -601008], Unknown),
        (Outer, &[-504002, -504003], Unknown),
        (Runtime, &[430, 433], Unknown),
        // A pause by the reference, but "the message may be sent": only an unknown says so.
        (Outer, &[-604001], Unknown),
        (Send, &[0], Delivered),
        (Send, &[43101], Permanent),
        (Send, &[40003, 43104], Permanent),
        (Send, &[47003, 45168, 47001], Permanent),
        (Send, &[40037, 41030, 43107], CONFIG),
        (Send, &[-604100, -604101, -604104, -502003, -502005], CONFIG),
        (Send, &[48001, 48004], CONFIG),
        (BeforeSend, &[40003, 43104], Permanent),
        // Our own function's words.
        (BeforeSend, &[1001, 1004, 1006], Permanent),
        (BeforeSend, &[1002, 1003, 1005], CONFIG),
        (BeforeSend, &[-502003, -502005, 48001, 48004], CONFIG),
        (BeforeSend, &[-604100, -604101, -604104], CONFIG),
        (Send, &[45009, -501015, -501016], TOMORROW),
        (BeforeSend, &[45009, -501015, -501016], TOMORROW),
        (Send, &[43108], Throttled),
        (BeforeSend, &[-501001, -501002, -502001], Transient),
        (BeforeSend, &[-502010, -502011, -502012], Transient),
        (BeforeSend, &[-502013, -502014, -502015, -604103], Transient),
        (Send, &[-1, -501001, -501002, -604102, -604103], Unknown),
        // "Retry once, then pause": a minute's pause and one probing row come to the same.
        (Send, &[40001, 42001], MINUTE),
        // Unknown codes: definite where the place proves it, ambiguous elsewhere.
        (Outer, &[99_999, -999_999], Unknown),
        (Runtime, &[499], Unknown),
        (Send, &[99_999], Transient),
        (Send, &[-999_999], Unknown),
        (BeforeSend, &[99_999, -999_999], Transient),
        (Token, &[99_999, -999_999], CONFIG),
        // Section 9: the direct path.
        (Direct, &[0], Delivered),
        (Direct, &[40001, 40014, 42001], TokenRefused),
        (Direct, &[43108], Throttled),
        (Direct, &[45011], MINUTE),
        (Direct, &[45009], TOMORROW),
        (
            Direct,
            &[43101, 40003, 43104, 47003, 45168, 47001],
            Permanent,
        ),
        (Direct, &[40037, 41030, 43107, 48001, 48004, 40013], CONFIG),
        (Direct, &[50002, 50007, 41001, 43002, 43003, 44002], CONFIG),
        (Direct, &[-1, -999_999], Unknown),
        (Direct, &[99_999], Transient),
        // A receiver of one's own.
        (Receiver, &[400, 404, 410, 413, 422], Permanent),
        (Receiver, &[401, 403, 405, 411, 412, 415], CONFIG),
        (Receiver, &[301, 302, 303, 307, 308], CONFIG),
        (Receiver, &[408, 409], Transient),
        (Receiver, &[425, 429], Throttled),
        (Receiver, &[500, 501, 502, 503, 504, 599, 101], Unknown),
    ];
    for (origin, codes, kind) in lines {
        for code in *codes {
            let entry = lookup(*origin, *code);
            assert_eq!(entry.kind, *kind, "{origin:?} {code} is {}", entry.key);
        }
    }
}

/// Sections 1.3, 1.4, 2.3, 2.4, 2.5 and 3.2: no documented code falls through to "unknown".
#[test]
fn every_documented_code_is_listed() {
    let documented: &[(Origin, &[i32])] = &[
        (
            Token,
            &[
                -1, 40001, 40002, 40013, 40125, 40164, 40243, 41002, 41004, 43002, 45009, 45011,
                50004, 50007, 61024, 89501, 89503, 89506, 89507,
            ],
        ),
        (
            Outer,
            &[
                -1, -1000, 40001, 40014, 42001, 41001, 40101, 43002, 44002, 85088, 45009, 48001,
                -501000, -501001, -501002, -501003, -501004, -501005, -501006, -501007, -501008,
                -501009, -501015, -501016, -501017, -501018, -501019, -501020, -501021, -502001,
                -502002, -502003, -502004, -502005, -502010, -502011, -502012, -502013, -502014,
                -502015, -504001, -504002, -504003, -601001, -601002, -601003, -601004, -601012,
                -601018, -601008, -604001, -604100, -604101, -604102, -604103, -604104, -605101,
            ],
        ),
        (Runtime, &[406, 407, 429, 430, 432, 433]),
        (
            Send,
            &[
                40001, 40014, 42001, 40003, 40037, 43101, 43104, 43107, 43108, 45168, 47003, 47001,
                41030, 45009, -1, 48001, 48004, 40013, 50002, 50007, 41028, 41029, 20001, 20002,
                20003, 20004, 20005, 10001, 10002, 10003, 10004, 10005, 20013, 200_011,
            ],
        ),
    ];
    for (origin, codes) in documented {
        for code in *codes {
            let key = lookup(*origin, *code).key;
            assert!(!key.contains("unknown_"), "{origin:?} {code} is {key}");
        }
    }
}

#[test]
fn keys_and_codes_are_unique_and_every_text_is_there() {
    let mut keys = HashSet::new();
    let mut codes = HashSet::new();
    for entry in ENTRIES {
        assert!(keys.insert(entry.key), "{} stands twice", entry.key);
        assert!(
            entry
                .key
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        );
        for (origin, listed) in entry.codes {
            for code in *listed {
                assert!(
                    codes.insert((*origin, *code)),
                    "{origin:?} {code} stands twice"
                );
            }
        }
        for text in [entry.zh, entry.next_zh, entry.en, entry.next_en] {
            assert!(!text.trim().is_empty(), "{} lacks a text", entry.key);
            assert!(
                text.chars().count() <= 90,
                "{} is too long: {text}",
                entry.key
            );
            assert!(
                !text.contains('|') && !text.ends_with(['.', '。']),
                "{text}"
            );
        }
        assert!(
            !entry.zh.is_ascii() && !entry.next_zh.is_ascii(),
            "{} is not Chinese",
            entry.key
        );
        assert_eq!(by_key(entry.key).map(|found| found.key), Some(entry.key));
    }
    assert!(by_key("no_such_key").is_none());
}

/// An unknown must never read as certain, nor a certain refusal as doubtful.
#[test]
fn sentences_do_not_lie() {
    for entry in ENTRIES {
        assert!(
            !entry.en.to_lowercase().contains("received"),
            "{}",
            entry.key
        );
        if entry.kind == Unknown {
            assert!(
                entry.en.contains("may"),
                "{} sounds certain: {}",
                entry.key,
                entry.en
            );
            assert!(
                !entry.zh.contains("没有发出"),
                "{} sounds certain",
                entry.key
            );
        } else {
            assert!(
                !entry.en.contains("may have"),
                "{} sounds doubtful",
                entry.key
            );
        }
    }
    assert_eq!(local::ACCEPTED.zh, "微信已接收");
    assert_eq!(local::ACCEPTED.en, "Accepted by WeChat");
}

#[test]
fn the_markdown_has_one_line_per_entry() {
    for lang in [Lang::Zh, Lang::En] {
        let text = to_markdown(lang);
        assert_eq!(text.lines().count(), ENTRIES.len() + 2);
        assert!(text.lines().all(|line| line.matches('|').count() == 7));
        assert!(text.contains("| `not_subscribed` |"));
    }
}

const BEGIN: &str = "<!-- catalogue: made from src/catalogue/table.rs, do not edit -->\n";
const END: &str = "<!-- end of catalogue -->";

#[test]
fn the_documentation_holds_the_catalogue() {
    for (file, lang) in [
        ("docs/errors.md", Lang::En),
        ("docs/errors.zh-CN.md", Lang::Zh),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let text = fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once(BEGIN).expect("the begin mark");
        let (_, after) = rest.split_once(END).expect("the end mark");
        let right = format!("{before}{BEGIN}\n{}\n{END}{after}", to_markdown(lang));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, right).unwrap();
        } else {
            assert!(
                text == right,
                "{file} differs from the catalogue; run: UPDATE_DOCS=1 cargo test --lib catalogue"
            );
        }
    }
}
