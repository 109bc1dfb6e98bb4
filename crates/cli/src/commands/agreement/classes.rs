//! Agreement on the classes of images.

use cleanslide_data::Labels;
use cleanslide_eval::{KappaWeights, LabelPairs, fleiss_kappa_with_gaps};
use ndarray::Array2;

use super::{Agreed, Study};
use crate::failure::Result;

/// Share of equal classes and Cohen's kappa of every two; Fleiss' kappa of all.
pub fn measure(study: &Study, labels: &Labels) -> Result<Agreed> {
    let classes = study.dataset.classes().len();
    let names: Vec<&str> = study.experts.names.iter().map(String::as_str).collect();
    let records: Vec<_> = study
        .images
        .iter()
        .map(|labelled| labelled.image.clone())
        .collect();
    let votes = labels.votes(&records, &names, classes)?;
    let mut of_pairs = Vec::new();
    for pair in study.pairs() {
        let images = study.shared(pair);
        let of = |expert: usize| -> Vec<usize> {
            let said = votes.by(expert);
            images.iter().filter_map(|&image| said[image]).collect()
        };
        let pairs = LabelPairs::new(&of(pair.0), &of(pair.1), classes);
        let statistic = |value: fn(&cleanslide_eval::ConfusionMatrix) -> Value| {
            let pairs = &pairs;
            move |weights: cleanslide_eval::Weights<'_>| {
                let pairs = pairs.as_ref().map_err(Clone::clone)?;
                value(&pairs.confusion(weights)?)
            }
        };
        of_pairs.push(vec![
            study.measure(
                "Cohen's kappa",
                &images,
                statistic(|confusion| Ok(confusion.cohen_kappa(KappaWeights::Unweighted)?.kappa)),
            ),
            study.measure(
                "same class",
                &images,
                statistic(|confusion| confusion.accuracy()),
            ),
        ]);
    }
    let ratings = Array2::from_shape_fn((records.len(), classes), |(image, class)| {
        votes.counts(image)[class] as u32
    });
    let all: Vec<usize> = (0..records.len()).collect();
    Ok(Agreed {
        overall: vec![study.measure("Fleiss' kappa", &all, |weights| {
            fleiss_kappa_with_gaps(ratings.view(), weights)
        })],
        of_pairs,
        ..Agreed::default()
    })
}

type Value = std::result::Result<f64, cleanslide_eval::Error>;
