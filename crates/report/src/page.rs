//! The page: one HTML file that needs nothing else, its sections, and where its numbers come from.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// A whole page.
#[derive(Clone, Debug)]
pub struct Page {
    /// The title, which is also the first heading.
    pub title: String,
    /// What stands on the first screen, below the title.
    pub lead: Markup,
    /// The sections, listed in the contents.
    pub sections: Vec<Section>,
    /// Where the numbers come from.
    pub provenance: Provenance,
}

/// A part of a page with its heading.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its address within the page: lower-case ASCII letters and dashes.
    pub anchor: &'static str,
    /// Its heading.
    pub heading: String,
    /// What stands below the heading. Its own headings start at the third level.
    pub body: Markup,
}

/// What it takes to get the same numbers again. Parts that are `None` are not shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The label version that the numbers are about.
    pub label_version: Option<String>,
    /// The seed of everything random.
    pub seed: Option<u64>,
    /// Hash of the configuration.
    pub config_hash: Option<String>,
    /// The command that was typed.
    pub command: Option<String>,
    /// Version and commit of the program.
    pub build: Option<String>,
}

impl Page {
    /// The file as text. The same page gives the same bytes.
    pub fn render(&self) -> String {
        let style = concat!(
            include_str!("colours.css"),
            include_str!("style.css"),
            include_str!("plots/plot.css")
        );
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    // The browser paints its first, empty frame dark where dark is preferred.
                    meta name="color-scheme" content="light dark";
                    title { (self.title) }
                    // No request for an icon.
                    link rel="icon" href="data:,";
                    style { (PreEscaped(style)) }
                }
                body {
                    a class="skip" href="#content" { "Skip to the content" }
                    main id="content" {
                        h1 { (self.title) }
                        (self.lead)
                        @if self.sections.len() > 1 { (self.contents()) }
                        @for section in &self.sections {
                            section aria-labelledby=(section.anchor) {
                                h2 id=(section.anchor) { (section.heading) }
                                (section.body)
                            }
                        }
                    }
                    (self.provenance.markup())
                    script { (PreEscaped(include_str!("page.js"))) }
                }
            }
        }
        .into_string()
    }

    fn contents(&self) -> Markup {
        html! {
            nav aria-label="Contents" {
                ul {
                    @for section in &self.sections {
                        li { a href=(format!("#{}", section.anchor)) { (section.heading) } }
                    }
                }
            }
        }
    }
}

impl Provenance {
    fn markup(&self) -> Markup {
        let seed = self.seed.map(|seed| seed.to_string());
        let facts = [
            ("Label version", &self.label_version),
            ("Seed", &seed),
            ("Configuration", &self.config_hash),
            ("Command", &self.command),
            ("Program", &self.build),
        ];
        html! {
            footer class="foot" {
                h2 { "Where these numbers come from" }
                @if facts.iter().any(|(_, fact)| fact.is_some()) {
                    dl {
                        @for (name, fact) in facts {
                            @if let Some(fact) = fact { dt { (name) } dd { (fact) } }
                        }
                    }
                }
                p {
                    "Intervals in brackets are 95 % intervals. "
                    "This file needs no network: everything that it shows is inside it."
                }
            }
        }
    }
}

/// A paragraph of prose.
pub fn note(text: &str) -> Markup {
    html! { p { (text) } }
}

/// What the reader must know before believing a number; nothing where there is nothing to say.
pub fn warnings(warnings: &[String]) -> Markup {
    html! {
        @if !warnings.is_empty() {
            div class="warnings" role="note" {
                strong { "⚠\u{fe0e} Read this first" }
                ul { @for warning in warnings { li { (warning) } } }
            }
        }
    }
}

/// Text with a capital first letter, as sentences and titles have.
pub(crate) fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}
