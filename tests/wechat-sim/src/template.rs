//! Message templates: what the platform checks, and what a well-made receiver fills in.
//!
//! Lengths are counted in UTF-16 units, as most senders do; how WeChat itself counts an emoji is unknown,
//! so the receiver leaves emoji out.

use chrono::{DateTime, Datelike, FixedOffset, Timelike, Utc};
use serde_json::{Value, json};

use crate::settings::Template;

/// Checks the data against the template. The error is the text of 47003 up to the request id: it names
/// the first bad field and is cut to 48 characters, as the real one is.
pub(crate) fn check(template: &Template, data: &Value) -> Result<(), String> {
    let refused = |keyword: &str, why| {
        let text = format!("argument invalid! data.{keyword}.value {why}");
        Err(text.chars().take(48).collect())
    };
    for keyword in &template.keywords {
        let value = data[keyword]["value"].as_str().unwrap_or("");
        if value.trim().is_empty() {
            return refused(keyword, "is empty");
        }
        if !is_valid(
            keyword.trim_end_matches(|c: char| c.is_ascii_digit()),
            value,
        ) {
            return refused(keyword, "invalid");
        }
    }
    Ok(())
}

fn is_valid(kind: &str, value: &str) -> bool {
    let length = value.encode_utf16().count();
    if value.chars().any(char::is_control) {
        return false;
    }
    let all = |allowed: fn(char) -> bool| value.chars().all(allowed);
    match kind {
        "thing" => length <= 20,
        "number" => length <= 32 && is_number(value),
        "letter" => length <= 32 && all(|c| c.is_ascii_alphabetic()),
        "symbol" => length <= 5 && all(is_symbol),
        "character_string" => length <= 32 && all(|c| !is_hanzi(c)),
        "time" => value.split('~').all(|part| is_time(part.trim(), false)),
        "date" => value.split('~').all(|part| is_time(part.trim(), true)),
        "amount" => is_amount(value),
        "phone_number" => length <= 17 && all(|c| c.is_ascii_digit() || is_symbol(c)),
        "car_number" => length <= 8,
        "name" => {
            let limit = if value.chars().any(is_hanzi) { 10 } else { 20 };
            length <= limit && all(|c| !c.is_numeric())
        }
        "phrase" => length <= 5 && all(is_hanzi),
        _ => true,
    }
}

fn is_hanzi(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

fn is_symbol(c: char) -> bool {
    !c.is_alphanumeric() && !c.is_whitespace()
}

fn is_number(value: &str) -> bool {
    let (whole, decimals) = value.split_once('.').unwrap_or((value, "0"));
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    digits(whole) && digits(decimals)
}

fn is_amount(value: &str) -> bool {
    let number = value.trim_start_matches(['￥', '¥', '$', '€', '£']);
    let number = number.strip_suffix('元').unwrap_or(number);
    value.chars().count() - number.chars().count() <= 2
        && is_number(number)
        && number.chars().filter(char::is_ascii_digit).count() <= 10
}

/// A time of day, after a date if there is one; with `date_suffices`, the date alone will do, and it may
/// be written with `-`, `/` or `.` as well.
fn is_time(value: &str, date_suffices: bool) -> bool {
    let (date, time) = match value.rsplit_once(' ') {
        Some((date, time)) => (Some(date), Some(time)),
        None if value.contains(':') => (None, Some(value)),
        None => (Some(value), None),
    };
    let date_is_fine = date.map_or(!date_suffices, |date| is_date(date, date_suffices));
    let time_is_fine = time.map_or(date_suffices, is_time_of_day);
    date_is_fine && time_is_fine
}

fn is_time_of_day(time: &str) -> bool {
    let parts: Vec<Option<u32>> = time
        .split(':')
        .map(|part| part.parse().ok().filter(|_| part.len() == 2))
        .collect();
    match parts[..] {
        [Some(hour), Some(minute)] => hour < 24 && minute < 60,
        [Some(hour), Some(minute), Some(second)] => hour < 24 && minute < 60 && second < 60,
        _ => false,
    }
}

fn is_date(date: &str, other_signs: bool) -> bool {
    let numbers = |parts: Vec<&str>| -> Vec<Option<u32>> {
        parts.into_iter().map(|part| part.parse().ok()).collect()
    };
    let parts = match date.strip_suffix('日') {
        Some(date) => numbers(date.split(['年', '月']).collect()),
        None if other_signs => numbers(date.split(['-', '/', '.']).collect()),
        None => return false,
    };
    match parts[..] {
        [Some(_), Some(month), Some(day)] => (1..=12).contains(&month) && (1..=31).contains(&day),
        [Some(_), Some(last)] => other_signs && (1..=31).contains(&last),
        _ => false,
    }
}

/// What the receiver fills in: the customer, what happened, and when, in the reader's local time. Every
/// value keeps the rules above, whatever the row holds.
pub(crate) fn fill(template: &Template, event: &Value) -> Value {
    let payload = &event["payload"];
    let customer = ["customerName", "customer_name", "customer", "name"]
        .iter()
        .find_map(|field| payload[field].as_str())
        .or(event["aggregate"]["id"].as_str())
        .unwrap_or("");
    let what = event["eventType"].as_str().unwrap_or("");
    let what = if what.contains("assigned") {
        "客户已分配给您"
    } else {
        what
    };
    let at = ["assignedAt", "assigned_at"]
        .iter()
        .find_map(|field| payload[field].as_str());
    let at = at.or(event["sentAt"].as_str()).unwrap_or("");
    let values = [thing(customer), thing(what), local_time(at)];
    let filled = template.keywords.iter().zip(values);
    filled
        .map(|(keyword, value)| (keyword.clone(), json!({"value": value})))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// At most 20 UTF-16 units, no emoji, no controls, never empty.
fn thing(text: &str) -> String {
    // Beyond the basic plane lie the emoji (and a few rare hanzi, which a name can do without).
    let clean: Vec<char> = text
        .chars()
        .filter(|&c| !c.is_control() && c <= '\u{ffff}')
        .filter(|&c| !matches!(c, '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{2600}'..='\u{27bf}'))
        .collect();
    let short: String = if clean.len() <= 20 {
        clean.into_iter().collect()
    } else {
        clean.into_iter().take(19).chain(['…']).collect()
    };
    if short.trim().is_empty() {
        "-".to_owned()
    } else {
        short
    }
}

/// `2019年10月1日 15:01` in UTC+8.
fn local_time(text: &str) -> String {
    let at = DateTime::parse_from_rfc3339(text).unwrap_or_else(|_| Utc::now().into());
    let at = at
        .with_timezone(&FixedOffset::east_opt(8 * 3600).expect("eight hours are less than a day"));
    format!(
        "{}年{}月{}日 {:02}:{:02}",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_value(kind: &str, value: &str, expected: bool) {
        assert_eq!(is_valid(kind, value), expected, "{kind}: {value}");
    }

    #[test]
    fn every_type_has_its_rule() {
        check_value("thing", "张三（VIP）已分配给您", true);
        check_value("thing", &"字".repeat(20), true);
        check_value("thing", &"字".repeat(21), false);
        check_value("thing", "一\n二", false);
        check_value("number", "3.50", true);
        check_value("number", "12个", false);
        check_value("letter", "VIP1", false);
        check_value("symbol", "+++", true);
        check_value("symbol", "a+", false);
        check_value("character_string", "NO-2024_001", true);
        check_value("character_string", "测试1", false);
        check_value("time", "15:01", true);
        check_value("time", "2019年10月1日 15:01", true);
        check_value("time", "3pm", false);
        check_value("time", "2019-13-01", false);
        check_value("date", "2019年10月1日", true);
        check_value("date", "2019-10-01 15:01", true);
        check_value("date", "昨天", false);
        check_value("date", "2019-10-01T15:01:00Z", false);
        check_value("amount", "￥100", true);
        check_value("amount", "100.5元", true);
        check_value("amount", "约100元", false);
        check_value("phone_number", "+86-0766-66888866", true);
        check_value("phone_number", "13800000000x", false);
        check_value("car_number", "粤A8Z888挂", true);
        check_value("name", "John Smith", true);
        check_value("name", "张三2", false);
        check_value("phrase", "已分配", true);
        check_value("phrase", "已分配!", false);
    }

    #[test]
    fn the_first_bad_field_is_named_in_48_characters() {
        let template = Template {
            id: "T".to_owned(),
            keywords: vec!["character_string1".to_owned()],
        };
        let refused =
            check(&template, &json!({"character_string1": {"value": "测试"}})).unwrap_err();
        assert_eq!(refused, "argument invalid! data.character_string1.value i");
        assert!(
            check(&template, &json!({}))
                .unwrap_err()
                .starts_with("argument invalid! data.character_string1")
        );
    }

    #[test]
    fn whatever_the_row_holds_the_message_is_well_formed() {
        let template = &crate::Settings::default().templates[0];
        for name in [
            "",
            " ",
            "王".repeat(80).as_str(),
            "a\nb\u{0}",
            "👩‍👩‍👧‍👦 Zoë 李",
            "\u{202e}x",
        ] {
            let event = json!({"eventType": "customer.assigned", "sentAt": "2019-10-01T07:01:00Z",
                "aggregate": {"type": "customer", "id": "7"}, "payload": {"customerName": name}});
            let data = fill(template, &event);
            assert_eq!(check(template, &data), Ok(()), "{name:?}: {data}");
            assert_eq!(data["time3"]["value"], "2019年10月1日 15:01");
        }
    }
}
