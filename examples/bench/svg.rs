//! A chart as SVG text: a grid, then bars or lines. Its colours follow the reader's light or dark page.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 340.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 52.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 20.0;

const STYLE: &str = "\
    svg { font: 13px system-ui, sans-serif; --ink: #1f2328; --faint: #d0d7de; --page: #ffffff; \
          --c0: #0969da; --c1: #bc4c00; --c2: #1a7f37; --c3: #8250df; }\n\
    @media (prefers-color-scheme: dark) { svg { --ink: #e6edf3; --faint: #3d444d; --page: #0d1117; \
          --c0: #4493f8; --c1: #f0883e; --c2: #3fb950; --c3: #ab7df8; } }\n\
    text { fill: var(--ink); } .title { font-size: 16px; font-weight: 600; } .grid { stroke: var(--faint); }\n\
    .spread { stroke: var(--ink); stroke-width: 1.5; } .page { fill: var(--page); }";

/// A bar with the least and the most of what it is the median of.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// A named line through points.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

pub(crate) fn bars(title: &str, unit: &str, bars: &[Bar]) -> String {
    let top = ceiling(bars.iter().map(|bar| bar.most));
    let mut svg = grid(title, unit, top);
    let room = (WIDTH - LEFT - RIGHT) / bars.len().max(1) as f64;
    let width = (room * 0.6).min(96.0);
    for (i, bar) in bars.iter().enumerate() {
        let middle = LEFT + room * (i as f64 + 0.5);
        let (x, y) = (middle - width / 2.0, height_of(bar.value, top));
        let height = HEIGHT - BOTTOM - y;
        let (low, high) = (height_of(bar.least, top), height_of(bar.most, top));
        let _ = write!(
            svg,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="3" fill="var(--c0)"/>
<path class="spread" fill="none" d="M{middle:.1} {low:.1}V{high:.1}M{:.1} {low:.1}h12M{:.1} {high:.1}h12"/>
"#,
            middle - 6.0,
            middle - 6.0
        );
        text(
            &mut svg,
            middle,
            high - 8.0,
            "middle",
            "",
            &number(bar.value),
        );
        text(
            &mut svg,
            middle,
            HEIGHT - BOTTOM + 20.0,
            "middle",
            "",
            &bar.name,
        );
    }
    svg + "</svg>\n"
}

/// Lines over seconds, with the names of several in a legend.
pub(crate) fn lines(title: &str, unit: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let top = ceiling(points().map(|point| point.1));
    let end = points().map(|point| point.0).fold(1.0, f64::max);
    let mut svg = grid(title, unit, top);
    let x_of = |seconds: f64| LEFT + (WIDTH - LEFT - RIGHT) * seconds / end;
    for quarter in 0..=4 {
        let seconds = end * f64::from(quarter) / 4.0;
        let words = format!("{seconds:.0} s");
        let (x, y) = (x_of(seconds), HEIGHT - BOTTOM + 20.0);
        let anchor = if quarter == 4 { "end" } else { "middle" };
        text(&mut svg, x, y, anchor, "", &words);
    }
    for (i, line) in lines.iter().enumerate() {
        let path: Vec<String> = line
            .points
            .iter()
            .map(|&(x, y)| format!("{:.1} {:.1}", x_of(x), height_of(y, top)))
            .collect();
        let (colour, y) = (i % 4, HEIGHT - 10.0);
        let x = LEFT + (WIDTH - LEFT - RIGHT) / lines.len() as f64 * i as f64;
        let _ = writeln!(
            svg,
            r#"<path d="M{}" fill="none" stroke="var(--c{colour})" stroke-width="2" stroke-linejoin="round"/>
<path d="M{x:.1} {:.1}h18" stroke="var(--c{colour})" stroke-width="3"/>"#,
            path.join("L"),
            y - 4.0
        );
        text(&mut svg, x + 24.0, y, "start", "", &line.name);
    }
    svg + "</svg>\n"
}

/// Everything but the data.
fn grid(title: &str, unit: &str, top: f64) -> String {
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">
<style>{STYLE}</style>
<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="6"/>
"#
    );
    text(&mut svg, LEFT, 24.0, "start", "title", title);
    text(&mut svg, LEFT, 43.0, "start", "", unit);
    for quarter in 0..=4 {
        let value = top * f64::from(quarter) / 4.0;
        let y = height_of(value, top);
        let _ = writeln!(
            svg,
            r#"<path class="grid" d="M{LEFT} {y:.1}H{:.1}"/>"#,
            WIDTH - RIGHT
        );
        text(&mut svg, LEFT - 8.0, y + 4.0, "end", "", &number(value));
    }
    svg
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, class: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{words}</text>"#
    );
}

fn height_of(value: f64, top: f64) -> f64 {
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top
}

/// The next round number above all values, with room for what is written over a bar.
fn ceiling(values: impl Iterator<Item = f64>) -> f64 {
    let most = values.fold(f64::MIN_POSITIVE, f64::max) * 1.1;
    let power = 10_f64.powf(most.log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
    let fits = steps.into_iter().find(|step| step * power >= most);
    fits.unwrap_or(10.0) * power
}

fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if v >= 10_000.0 => format!("{:.1}k", value / 1000.0),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
