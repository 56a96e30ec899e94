//! A cloud call's wire format: a multipart form whose part `requestData` is a protocol-buffer message, answered by
//! another one. Only as much of both as `subscribeMessage.send` needs.

use serde_json::{Map, Value};

/// The interface and its parameters; `None` when it cannot be read.
pub(crate) fn read(body: &[u8]) -> Option<(String, Value)> {
    let api = String::from_utf8(part(body, "apiName")?.to_vec()).ok()?;
    // CommApiData.openapiData = 2, its pairs = 1, key = 1 and value = 2, which is JSON.
    let mut parameters = Map::new();
    for data in fields(part(body, "requestData")?, 2)? {
        for pair in fields(data, 1)? {
            let key = std::str::from_utf8(fields(pair, 1)?.first()?).ok()?;
            let value = serde_json::from_slice(fields(pair, 2)?.first()?).ok()?;
            parameters.insert(key.to_owned(), value);
        }
    }
    Some((api, parameters.into()))
}

/// What WeChat's server said: CommOpenApiResp.respData = 1, contentType = 2.
pub(crate) fn said(json: &str) -> Vec<u8> {
    let kind = "application/json; encoding=utf-8";
    [text(1, json), text(2, kind)].concat()
}

/// The platform would not pass it on: CommOpenApiResp.errorCode = 3.
pub(crate) fn platform_error(code: i32) -> Vec<u8> {
    let mut out = vec![3 << 3];
    varint(&mut out, i64::from(code).cast_unsigned());
    out
}

/// The content of one part of a multipart form.
fn part<'a>(body: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let first = find(body, b"\r\n", 0)?;
    let boundary = [b"\r\n", &body[..first]].concat();
    let named = format!("name=\"{name}\"");
    let head = find(body, named.as_bytes(), 0)?;
    let start = find(body, b"\r\n\r\n", head)? + 4;
    let end = find(body, &boundary, start.saturating_sub(2))?;
    body.get(start..end.max(start))
}

fn find(bytes: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let at = rest.windows(what.len()).position(|window| window == what)?;
    Some(from + at)
}

/// The contents of the fields with this number, of those that carry bytes.
fn fields(mut message: &[u8], wanted: u64) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = read_varint(&mut message)?;
        match tag & 7 {
            0 => {
                read_varint(&mut message)?;
            }
            2 => {
                let length = usize::try_from(read_varint(&mut message)?).ok()?;
                let (content, rest) = message.split_at_checked(length)?;
                message = rest;
                if tag >> 3 == wanted {
                    found.push(content);
                }
            }
            _ => return None,
        }
    }
    Some(found)
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn text(number: u8, content: &str) -> Vec<u8> {
    let mut out = vec![(number << 3) | 2];
    varint(&mut out, content.len() as u64);
    out.extend_from_slice(content.as_bytes());
    out
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(((value & 0x7f) as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_the_sdk_writes_it() {
        let pair = [text(1, "touser"), text(2, r#""o-zhang""#)].concat();
        let pair = String::from_utf8(pair).unwrap();
        let data = [
            vec![8, 1],
            text(2, &String::from_utf8(text(1, &pair)).unwrap()),
        ]
        .concat();
        let mut body = b"--b\r\nContent-Disposition: form-data; name=\"apiName\"\r\n\r\nsubscribeMessage.send\r\n--b\r\n\
            Content-Disposition: form-data; name=\"requestData\"\r\nContent-Type: application/octet-stream\r\n\r\n"
            .to_vec();
        body.extend(data);
        body.extend(b"\r\n--b--\r\n");
        let (api, order) = read(&body).unwrap();
        assert_eq!(api, "subscribeMessage.send");
        assert_eq!(order["touser"], "o-zhang");
        assert!(read(b"--b\r\nnothing").is_none());
    }

    #[test]
    fn a_negative_code_takes_ten_bytes() {
        let error = platform_error(-604_101);
        assert_eq!(error.len(), 11);
        let mut rest = &error[1..];
        assert_eq!(read_varint(&mut rest).map(u64::cast_signed), Some(-604_101));
    }
}
