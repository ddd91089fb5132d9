//! Draws lines over a logarithmic axis as an SVG, readable on light and on dark ground.

use std::fmt::Write;

/// One line of a plot: its name, and its points.
pub type Line = (String, Vec<(f64, f64)>);

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 48.0;
const STEPS: u32 = 5;

const STYLE: &str = "text{font:12px sans-serif;fill:#333}.title{font-size:14px}\
.grid{stroke:#ddd}path{fill:none;stroke-width:2}.a{stroke:#0b62c4}.b{stroke:#b4530a}\
circle{stroke:none}circle.a,rect.a{fill:#0b62c4;stroke:none}circle.b,rect.b{fill:#b4530a;stroke:none}\
@media(prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#444}.a{stroke:#6cb0ff}.b{stroke:#ffab66}\
circle.a,rect.a{fill:#6cb0ff}circle.b,rect.b{fill:#ffab66}}";

/// A plot. Across: decades of `across`; up: from nothing to the next round number above every point.
pub fn draw(title: &str, across: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let first = points().map(|(x, _)| x.log10()).fold(f64::MAX, f64::min);
    let last = points().map(|(x, _)| x.log10()).fold(f64::MIN, f64::max);
    let most = round_up(points().map(|(_, y)| *y).fold(0.0, f64::max));
    let x = |value: f64| LEFT + (value.log10() - first) / (last - first) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / most * (HEIGHT - TOP - BOTTOM);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"20\">{title}</text>\n"
    );
    for step in 0..=STEPS {
        let value = most * f64::from(step) / f64::from(STEPS);
        let (at, right) = (y(value), WIDTH - RIGHT);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            short(value)
        );
    }
    let mut decade = first.ceil();
    while decade <= last {
        let (at, foot) = (x(10_f64.powf(decade)), HEIGHT - BOTTOM + 18.0);
        let label = short(10_f64.powf(decade));
        let _ =
            writeln!(svg, "<text x=\"{at:.1}\" y=\"{foot}\" text-anchor=\"middle\">{label}</text>");
        decade += 1.0;
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{across}</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 10.0
    );
    for (place, ((name, points), class)) in lines.iter().zip(["a", "b"]).enumerate() {
        let at = LEFT + place as f64 * 250.0;
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{at}\" y=\"33\" width=\"10\" height=\"10\"/>\
             <text x=\"{}\" y=\"42\">{name}</text>",
            at + 16.0
        );
        let mut path = String::new();
        for (index, point) in points.iter().enumerate() {
            let step = if index == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{step}{:.1} {:.1}", x(point.0), y(point.1));
            let _ = writeln!(
                svg,
                "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>",
                x(point.0),
                y(point.1)
            );
        }
        let _ = writeln!(svg, "<path class=\"{class}\" d=\"{path}\"/>");
    }
    svg + "</svg>\n"
}

/// The next of 1, 2 and 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-9).log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= value);
    factor.unwrap_or(10.0) * power
}

fn short(value: f64) -> String {
    match value {
        value if value >= 1_000.0 => {
            let rest = value % 1_000.0;
            if rest == 0.0 {
                format!("{} {:03.0}", (value / 1_000.0).floor(), rest)
            } else {
                format!("{value:.0}")
            }
        }
        value if value.fract() < 1e-9 => format!("{value:.0}"),
        value => format!("{value:.1}"),
    }
}
