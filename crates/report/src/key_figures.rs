//! The answers of the first screen: a number, its interval, and what it means.

use maud::{Markup, html};

use crate::number::{Estimate, Format};

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyFigure {
    /// The question in the reader's words.
    pub question: String,
    /// The number or word that answers it.
    pub value: KeyValue,
    /// What the value is, with its unit and what it was measured against.
    pub what: String,
    /// The answer in plain words, one paragraph each.
    pub prose: Vec<String>,
}

/// What a [`KeyFigure`] shows large.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyValue {
    /// A number with its interval.
    Estimate(Estimate, Format),
    /// A name or a count.
    Text(String),
}

/// The figures side by side, on a phone below each other; nothing where there are none.
pub fn key_figures(figures: &[KeyFigure]) -> Markup {
    html! {
        @if !figures.is_empty() {
            div class="key-figures" {
                @for figure in figures {
                    div class="key-figure" {
                        h2 { (figure.question) }
                        p class=(class(&figure.value)) { (value(&figure.value)) }
                        p class="what" { (figure.what) }
                        @for paragraph in &figure.prose { p class="prose" { (paragraph) } }
                    }
                }
            }
        }
    }
}

/// Words with more letters than this are written smaller, so that they are not divided.
const LONG: usize = 16;

fn class(value: &KeyValue) -> &'static str {
    match value {
        KeyValue::Text(text) if text.split(' ').any(|word| word.chars().count() > LONG) => {
            "value long"
        }
        _ => "value",
    }
}

fn value(value: &KeyValue) -> Markup {
    match value {
        KeyValue::Text(text) => html! { (text) },
        KeyValue::Estimate(estimate, format) => html! {
            (format.write(estimate.value))
            @if let Some(interval) = format.write_interval(estimate) {
                " " span class="interval" { (interval) }
            }
        },
    }
}
