//! Cohen's kappa: agreement of two raters beyond chance.
//!
//! J. Cohen, "A coefficient of agreement for nominal scales", 1960,
//! doi:10.1177/001316446002000104; weighted: J. Cohen 1968, doi:10.1037/h0026256; standard
//! errors: J. L. Fleiss, J. Cohen, B. S. Everitt 1969, doi:10.1037/h0028106.
//!
//! ```text
//! p_ij = n_ij / n, r_i and c_j its row and column sums, w_ij = 1 for full agreement:
//!   unweighted  w_ij = [i = j]
//!   linear      w_ij = 1 − |i − j| / (K − 1)
//!   quadratic   w_ij = 1 − (i − j)² / (K − 1)²
//! observed  p_o = Σ w_ij p_ij        chance  p_e = Σ w_ij r_i c_j
//! kappa     = (p_o − p_e) / (1 − p_e)
//! w̄_i = Σ_j w_ij c_j,  w̄_j = Σ_i w_ij r_i
//! variance  = [Σ p_ij (w_ij − (w̄_i + w̄_j)(1 − κ))² − (κ − p_e(1 − κ))²] / (n (1 − p_e)²)
//! variance if κ = 0: [Σ r_i c_j (w_ij − (w̄_i + w̄_j))² − p_e²] / (n (1 − p_e)²)
//! ```

use serde::{Deserialize, Serialize};

use crate::confusion::ConfusionMatrix;
use crate::error::{Error, Undefined, check_level};
use crate::normal;
use crate::proportion::Interval;

/// How much partial agreement counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KappaWeights {
    /// Only equal classes agree. For classes without an order.
    #[default]
    Unweighted,
    /// Disagreement grows with the distance of the classes (Cicchetti–Allison).
    Linear,
    /// Disagreement grows with the squared distance (Fleiss–Cohen); usual for grades.
    Quadratic,
}

impl KappaWeights {
    fn agreement(self, first: usize, second: usize, classes: usize) -> f64 {
        let distance = first.abs_diff(second) as f64 / classes.saturating_sub(1).max(1) as f64;
        match self {
            KappaWeights::Unweighted => f64::from(u8::from(first == second)),
            KappaWeights::Linear => 1.0 - distance,
            KappaWeights::Quadratic => 1.0 - distance * distance,
        }
    }
}

/// Cohen's kappa with its large-sample standard errors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CohenKappa {
    /// Kappa: 1 is full agreement, 0 is chance.
    pub kappa: f64,
    /// Standard error for intervals.
    pub standard_error: f64,
    /// Standard error under the hypothesis that kappa is 0, for tests.
    pub standard_error_if_zero: f64,
}

impl CohenKappa {
    /// The normal interval kappa ± z · standard error, as statsmodels and SAS; it may reach
    /// beyond 1.
    ///
    /// It assumes independent items: for patches of cases use the bootstrap over cases instead.
    ///
    /// # Errors
    /// A level outside 0 to 1.
    pub fn interval(&self, level: f64) -> Result<Interval, Error> {
        check_level(level)?;
        let half = normal::quantile((1.0 + level) / 2.0) * self.standard_error;
        Ok(Interval {
            low: self.kappa - half,
            high: self.kappa + half,
        })
    }

    /// Two-sided p-value of the hypothesis that kappa is 0; 1 if the standard error is 0.
    pub fn p_value(&self) -> f64 {
        if self.standard_error_if_zero > 0.0 {
            2.0 * normal::cumulative(-(self.kappa / self.standard_error_if_zero).abs())
        } else {
            1.0
        }
    }
}

impl ConfusionMatrix {
    /// Cohen's kappa of the two raters in rows and columns.
    ///
    /// With linear and quadratic weights the classes are ordered by their index and equally
    /// spaced. The standard errors take the total weight as the number of items.
    ///
    /// # Errors
    /// Undefined without items, and if both raters used one and the same class only.
    pub fn cohen_kappa(&self, weights: KappaWeights) -> Result<CohenKappa, Error> {
        let total = self.total();
        if total <= 0.0 {
            return Err(Undefined::NoItems.into());
        }
        let classes = self.classes();
        let counts = self.counts();
        let rows = self.truth_totals() / total;
        let columns = self.predicted_totals() / total;
        let off_diagonal = counts.indexed_iter().any(|((i, j), &n)| i != j && n > 0.0);
        if !off_diagonal && counts.diag().iter().filter(|&&n| n > 0.0).count() == 1 {
            return Err(Undefined::CertainChance.into());
        }
        let agreement = |i, j| weights.agreement(i, j, classes);
        // Mean agreement of each class of one rater with the other rater's distribution.
        let row_mean: Vec<f64> = (0..classes)
            .map(|i| (0..classes).map(|j| agreement(i, j) * columns[j]).sum())
            .collect();
        let column_mean: Vec<f64> = (0..classes)
            .map(|j| (0..classes).map(|i| agreement(i, j) * rows[i]).sum())
            .collect();
        let over_cells = |term: &dyn Fn(usize, usize) -> f64| -> f64 {
            (0..classes)
                .flat_map(|i| (0..classes).map(move |j| (i, j)))
                .map(|(i, j)| term(i, j))
                .sum()
        };

        let observed = over_cells(&|i, j| agreement(i, j) * counts[[i, j]] / total);
        let chance = over_cells(&|i, j| agreement(i, j) * rows[i] * columns[j]);
        let kappa = (observed - chance) / (1.0 - chance);
        let marginal = |i: usize, j: usize| row_mean[i] + column_mean[j];
        let spread = over_cells(&|i, j| {
            let deviation = agreement(i, j) - marginal(i, j) * (1.0 - kappa);
            counts[[i, j]] / total * deviation * deviation
        });
        let spread_if_zero =
            over_cells(&|i, j| rows[i] * columns[j] * (agreement(i, j) - marginal(i, j)).powi(2));
        let scale = total * (1.0 - chance).powi(2);
        // Rounding can leave a variance of zero a hair below it.
        let standard_error = |variance: f64| (variance / scale).max(0.0).sqrt();
        Ok(CohenKappa {
            kappa,
            standard_error: standard_error(spread - (kappa - chance * (1.0 - kappa)).powi(2)),
            standard_error_if_zero: standard_error(spread_if_zero - chance * chance),
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn perfect_agreement_is_one_without_error() {
        let matrix = ConfusionMatrix::new(array![[5.0, 0.0], [0.0, 7.0]]).unwrap();
        for weights in [
            KappaWeights::Unweighted,
            KappaWeights::Linear,
            KappaWeights::Quadratic,
        ] {
            let kappa = matrix.cohen_kappa(weights).unwrap();
            assert!((kappa.kappa - 1.0).abs() < 1e-15);
            assert!(kappa.standard_error < 1e-7);
        }
    }

    #[test]
    fn one_class_only_is_undefined() {
        let matrix = ConfusionMatrix::new(array![[5.0, 0.0], [0.0, 0.0]]).unwrap();
        assert_eq!(
            matrix.cohen_kappa(KappaWeights::Linear),
            Err(Undefined::CertainChance.into())
        );
        let matrix = ConfusionMatrix::new(array![[0.0, 0.0], [0.0, 0.0]]).unwrap();
        assert_eq!(
            matrix.cohen_kappa(KappaWeights::Linear),
            Err(Undefined::NoItems.into())
        );
    }

    #[test]
    fn raters_who_never_agree_on_constant_classes_have_kappa_zero() {
        let matrix = ConfusionMatrix::new(array![[0.0, 5.0], [0.0, 0.0]]).unwrap();
        let kappa = matrix.cohen_kappa(KappaWeights::Unweighted).unwrap();
        assert_eq!(kappa.kappa, 0.0);
        assert_eq!(kappa.p_value(), 1.0);
    }
}
