//! Which objects of different experts are one.

use super::Drawn;

/// Two objects of different experts that overlap enough; `one` is the lesser.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pair {
    pub(super) one: Drawn,
    pub(super) other: Drawn,
    pub(super) overlap: f64,
}

/// Groups of at most one object per expert, ascending; every object is in one.
pub(super) fn groups(objects: &[Vec<Drawn>], mut pairs: Vec<Pair>) -> Vec<Vec<Drawn>> {
    pairs.sort_by(|one, other| {
        (other.overlap.total_cmp(&one.overlap))
            .then((one.one, one.other).cmp(&(other.one, other.other)))
    });
    // Where each object's group is: by expert, then by the object's index.
    let mut group_of: Vec<Vec<usize>> = Vec::new();
    let mut groups: Vec<Vec<Drawn>> = Vec::new();
    for drawn in objects {
        let highest = drawn.iter().map(|drawn| drawn.object + 1).max();
        let mut own = vec![usize::MAX; highest.unwrap_or(0)];
        for &drawn in drawn {
            own[drawn.object] = groups.len();
            groups.push(vec![drawn]);
        }
        group_of.push(own);
    }
    for Pair { one, other, .. } in pairs {
        let into = group_of[one.expert][one.object];
        let from = group_of[other.expert][other.object];
        let shared = |drawn: &Drawn| groups[from].iter().any(|d| d.expert == drawn.expert);
        // Objects of one group share their experts, too.
        if groups[into].iter().any(shared) {
            continue;
        }
        let moved = std::mem::take(&mut groups[from]);
        for drawn in &moved {
            group_of[drawn.expert][drawn.object] = into;
        }
        groups[into].extend(moved);
    }
    groups.retain(|group| !group.is_empty());
    for group in &mut groups {
        group.sort_unstable();
    }
    groups.sort_unstable();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(expert: usize, object: usize) -> Drawn {
        Drawn { expert, object }
    }

    #[test]
    fn one_expert_is_in_a_group_once() {
        let objects = vec![
            vec![drawn(0, 0), drawn(0, 3)],
            vec![drawn(1, 0)],
            vec![drawn(2, 0), drawn(2, 1)],
        ];
        let pair = |one, other, overlap| Pair {
            one,
            other,
            overlap,
        };
        let pairs = vec![
            pair(drawn(0, 3), drawn(1, 0), 0.6),
            pair(drawn(0, 0), drawn(1, 0), 0.7),
            pair(drawn(1, 0), drawn(2, 1), 0.6),
            pair(drawn(0, 3), drawn(2, 1), 0.9),
            pair(drawn(0, 0), drawn(2, 0), 0.5),
        ];
        let expected = vec![
            vec![drawn(0, 0), drawn(1, 0), drawn(2, 0)],
            vec![drawn(0, 3), drawn(2, 1)],
        ];
        assert_eq!(groups(&objects, pairs), expected);
        assert!(groups(&[vec![], vec![]], vec![]).is_empty());
    }
}
