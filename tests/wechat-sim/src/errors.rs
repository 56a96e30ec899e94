//! The texts that go with WeChat's codes. Clients branch on the code; the text is free and ends with a
//! request id, which is what an operator hands to WeChat.

use serde_json::{Value, json};

/// `{"errcode":…,"errmsg":"… rid: …"}`, as every failing endpoint answers it (HTTP status 200).
pub(crate) fn body(code: i32) -> Value {
    body_with(code, text(code))
}

/// The same with a text that tells more.
pub(crate) fn body_with(code: i32, text: &str) -> Value {
    json!({"errcode": code, "errmsg": with_rid(text)})
}

/// `text rid: xxxxxxxx-xxxxxxxx-xxxxxxxx`.
pub(crate) fn with_rid(text: &str) -> String {
    let (a, b, c): (u32, u32, u32) = (rand::random(), rand::random(), rand::random());
    format!("{text} rid: {a:08x}-{b:08x}-{c:08x}")
}

/// The text seen or documented for a code.
pub(crate) fn text(code: i32) -> &'static str {
    match code {
        -1 | -1000 => "system error",
        40001 => "invalid credential, access_token is invalid or not latest",
        40002 => "invalid grant_type",
        40003 => "invalid openid",
        40013 => "invalid appid",
        40014 => "invalid access_token",
        40037 => "invalid template_id",
        40101 => "missing parameter",
        40125 => "invalid appsecret",
        40164 => "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist",
        40243 => "appsecret is frozen",
        41001 => "access_token missing",
        41002 => "appid missing",
        41004 => "appsecret missing",
        41030 => "invalid page",
        42001 => "access_token expired",
        43002 => "require POST method",
        43003 => "require https",
        43101 => "user refuse to accept the msg",
        43104 => "appid does not have permission",
        43107 => "subscribe message ability is banned",
        43108 => "Cannot make concurrent calls to the same OpenID, please try again",
        44002 => "empty post data",
        45009 => "reach max api daily quota limit",
        45011 => "api minute-quota reach limit, must slower, retry next minute",
        45168 => "keyword in blacklist hint: []",
        47001 => "data format error",
        47003 => "argument invalid!",
        48001 => "api unauthorized",
        48004 => "api forbidden",
        50004 => "forbidden to use the token interface",
        50007 => "account frozen",
        61024 => "must use the token of the third-party platform",
        85088 => "no qbase privilege",
        89501 | 89503 => "this ip needs the administrator's confirmation",
        89506 => "the administrator refused this ip twice, banned for 24 hours",
        89507 => "the administrator refused this ip, banned for 1 hour",
        -501000 => "resource unknown error",
        -501001 => "resource system error",
        -501002 => "resource server timeout",
        -501003 => "request count over quota",
        -501004 => "request concurrency over limit",
        -501005 => "Environment invalid",
        -501006 => "invalid common parameters",
        -501007 => "function name foramt invalid",
        -504001 => "cloud function call failed",
        -504002 => "functions execute fail",
        -504003 => "Invoking task timed out after 3 seconds",
        -601001 => "system error",
        -601002 => "system arguments error",
        -601003 => "system network error",
        -601008 => "server timeout",
        -604001 => "function result too large",
        -604101 => "function has no permission to call this API",
        -604102 => "openapi timeout",
        -604103 => "openapi system error",
        _ => "error",
    }
}
