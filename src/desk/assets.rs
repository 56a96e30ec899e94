//! Scripts and styles, all of them in the program. Each one's path holds the hash of what it is, so a browser may
//! keep it for ever and a new version is fetched at once.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::trouble::Trouble;

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

static ASSETS: [Asset; 7] = [
    Asset {
        name: "desk.css",
        kind: CSS,
        bytes: include_bytes!("assets/desk.css"),
    },
    Asset {
        name: "desk.js",
        kind: JS,
        bytes: include_bytes!("assets/desk.js"),
    },
    Asset {
        name: "icon.svg",
        kind: SVG,
        bytes: include_bytes!("assets/icon.svg"),
    },
    Asset {
        name: "htmx.min.js",
        kind: JS,
        bytes: include_bytes!("assets/vendor/htmx.min.js"),
    },
    // For the pages with charts.
    Asset {
        name: "overview.js",
        kind: JS,
        bytes: include_bytes!("assets/overview.js"),
    },
    Asset {
        name: "uPlot.iife.min.js",
        kind: JS,
        bytes: include_bytes!("assets/vendor/uPlot.iife.min.js"),
    },
    Asset {
        name: "uPlot.min.css",
        kind: CSS,
        bytes: include_bytes!("assets/vendor/uPlot.min.css"),
    },
];

static HASHES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let hash = |asset: &Asset| {
        let digest = Sha256::digest(asset.bytes);
        digest[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    ASSETS.iter().map(hash).collect()
});

/// Where an asset is, behind the prefix.
pub(super) fn path(name: &str) -> String {
    let known = ASSETS.iter().position(|asset| asset.name == name);
    debug_assert!(known.is_some(), "{name} is an asset");
    let hash = known.map_or("-", |known| &HASHES[known]);
    format!("/assets/{hash}/{name}")
}

pub(super) async fn asset(Path((hash, name)): Path<(String, String)>) -> Result<Response, Trouble> {
    let known = ASSETS.iter().position(|asset| asset.name == name);
    let known = known
        .filter(|known| HASHES[*known] == hash)
        .ok_or(Trouble::NoPage)?;
    let asset = &ASSETS[known];
    let headers = [
        (CONTENT_TYPE, asset.kind),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, asset.bytes).into_response())
}

/// Nothing here is for search engines.
pub(super) async fn robots() -> &'static str {
    "User-agent: *\nDisallow: /\n"
}

/// The process answers; whether the database does is seen on its pages.
pub(super) async fn alive() -> &'static str {
    "alive\n"
}
