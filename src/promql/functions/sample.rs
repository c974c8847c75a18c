//! Which series a share of them holds: `limit_ratio`.

use crate::model::Labels;

/// The hash by which Prometheus tells label sets apart: xxHash64 over lengths and texts of all
/// names and values.
pub(crate) fn hash(labels: &Labels) -> u64 {
    let mut bytes = Vec::with_capacity(64);
    for (name, value) in labels.iter() {
        for text in [name, value] {
            let length = text.len();
            // One byte, or a mark and three more, the lowest first.
            if length < 0xff {
                bytes.push(length as u8);
            } else {
                bytes.extend([
                    0xff,
                    length as u8,
                    (length >> 8) as u8,
                    (length >> 16) as u8,
                ]);
            }
            bytes.extend(text.as_bytes());
        }
    }
    xxhash64(&bytes)
}

const PRIMES: [u64; 5] = [
    0x9e37_79b1_85eb_ca87,
    0xc2b2_ae3d_27d4_eb4f,
    0x1656_67b1_9e37_79f9,
    0x85eb_ca77_c2b2_ae63,
    0x27d4_eb2f_1656_67c5,
];

/// xxHash64 with seed 0.
fn xxhash64(bytes: &[u8]) -> u64 {
    let [p1, p2, p3, p4, p5] = PRIMES;
    let round = |acc: u64, lane: u64| {
        acc.wrapping_add(lane.wrapping_mul(p2))
            .rotate_left(31)
            .wrapping_mul(p1)
    };
    let (blocks, mut rest) = bytes.as_chunks::<32>();
    let mut h = p5;
    if !blocks.is_empty() {
        let mut lanes = [p1.wrapping_add(p2), p2, 0, p1.wrapping_neg()];
        for block in blocks {
            for (lane, eight) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
                *lane = round(*lane, u64::from_le_bytes(*eight));
            }
        }
        let [a, b, c, d] = lanes;
        h = a
            .rotate_left(1)
            .wrapping_add(b.rotate_left(7))
            .wrapping_add(c.rotate_left(12))
            .wrapping_add(d.rotate_left(18));
        for lane in lanes {
            h = (h ^ round(0, lane)).wrapping_mul(p1).wrapping_add(p4);
        }
    }
    h = h.wrapping_add(bytes.len() as u64);
    let (eights, tail) = rest.as_chunks::<8>();
    for eight in eights {
        h ^= round(0, u64::from_le_bytes(*eight));
        h = h.rotate_left(27).wrapping_mul(p1).wrapping_add(p4);
    }
    rest = tail;
    if let Some((four, tail)) = rest.split_first_chunk::<4>() {
        h ^= u64::from(u32::from_le_bytes(*four)).wrapping_mul(p1);
        h = h.rotate_left(23).wrapping_mul(p2).wrapping_add(p3);
        rest = tail;
    }
    for byte in rest {
        h ^= u64::from(*byte).wrapping_mul(p5);
        h = h.rotate_left(11).wrapping_mul(p1);
    }
    h = (h ^ (h >> 33)).wrapping_mul(p2);
    h = (h ^ (h >> 29)).wrapping_mul(p3);
    h ^ (h >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_reference() {
        for (text, want) in [
            ("", 0xef46_db37_51d8_e999),
            ("a", 0xd24e_c4f1_a98c_6e5b),
            ("abc", 0x44bc_2cf5_ad77_0999),
            (
                "Nobody inspects the spammish repetition",
                0xfbce_a83c_8a37_8bf1,
            ),
        ] {
            assert_eq!(xxhash64(text.as_bytes()), want, "{text}");
        }
    }
}
