//! What is written to the samples file, pass by pass, and how it is read again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::codec::{self, Damage, Packer};
use crate::model::{Histogram, Labels, Sample, Timestamp};

/// Classes of windows by their longest, in seconds. Series whose windows are alike share blocks,
/// so that a block can be forgotten as a whole.
pub const CLASSES: [u64; 7] = [450, 900, 4_500, 21_600, 108_000, 691_200, 3_110_400];

/// Samples nearly out of their window are kept a little longer: the file is read later than it
/// was written.
const MARGIN: Duration = Duration::from_secs(60);

/// Dead names that are worth writing the others anew.
const MANY_DEAD: usize = 1_000;

/// The class of a window; windows beyond the last class are cut to it.
pub fn class_of(window: Duration) -> usize {
    let found = CLASSES.iter().position(|c| window.as_secs() <= *c);
    found.unwrap_or(CLASSES.len() - 1)
}

/// A native histogram and its time.
pub type HistogramAt = (Timestamp, Arc<Histogram>);

/// One kept series, as a pass meets it.
pub struct SeriesTail<'a> {
    /// Its place in the store.
    pub place: u32,
    /// Tells it from others that had the place before.
    pub born: u32,
    /// How far back somebody reads it.
    pub window: Duration,
    /// Its labels.
    pub labels: &'a dyn Fn() -> Labels,
    /// Its floats after a time.
    pub floats: &'a dyn Fn(Timestamp) -> Vec<Sample>,
    /// Its native histograms after a time.
    pub histograms: &'a dyn Fn(Timestamp) -> Vec<HistogramAt>,
}

/// Samples of one series, as they are read again.
pub struct Read<'a> {
    /// Its place in the store.
    pub place: u32,
    /// Floats, oldest first.
    pub floats: &'a [Sample],
    /// Native histograms, oldest first.
    pub histograms: &'a [HistogramAt],
}

/// A block of samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Index into [`CLASSES`].
    pub class: usize,
    /// Time of its newest sample.
    pub newest: Timestamp,
    /// What is to be kept as it is.
    pub body: Vec<u8>,
}

/// What one pass brings to the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pass {
    /// Names of series.
    pub names: Option<Vec<u8>>,
    /// True when `names` takes the place of all names before.
    pub names_anew: bool,
    /// New samples.
    pub blocks: Vec<Block>,
    /// Blocks of a class whose newest sample is older than this are out of every window.
    pub forget: Vec<(usize, Timestamp)>,
}

impl Pass {
    /// Bytes that it adds.
    pub fn bytes(&self) -> usize {
        let blocks = self.blocks.iter().map(|b| b.body.len());
        blocks.sum::<usize>() + self.names.as_ref().map_or(0, Vec::len)
    }
}

/// Remembers what the file has, and takes what it has not.
#[derive(Debug, Default)]
pub struct Writer {
    /// By place in the store.
    known: Vec<Option<Known>>,
    next_number: u32,
    /// Names in the file, dead ones included.
    names: usize,
    all_names: bool,
    packing: Packing,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    born: u32,
    number: u32,
    /// True when the file has its name.
    named: bool,
    /// Newest sample in the file.
    written: Timestamp,
    /// Newest sample of the pass under way.
    taken: Timestamp,
    /// Number of the pass that met it last.
    met: u32,
}

/// The pass under way.
#[derive(Debug, Default)]
struct Packing {
    pass: u32,
    met: usize,
    names: Vec<(u32, Labels)>,
    classes: [Option<Packed>; CLASSES.len()],
    widest: [Duration; CLASSES.len()],
}

#[derive(Debug)]
struct Packed {
    packer: Packer,
    newest: Timestamp,
}

impl Writer {
    /// Takes what is new of one series into the pass.
    pub fn take(&mut self, series: &SeriesTail<'_>) {
        let place = series.place as usize;
        if self.known.len() <= place {
            self.known.resize(place + 1, None);
        }
        let slot = &mut self.known[place];
        let known = match slot {
            Some(known) if known.born == series.born => known,
            _ => {
                let number = self.next_number;
                self.next_number += 1;
                slot.insert(Known {
                    born: series.born,
                    number,
                    named: false,
                    written: Timestamp(i64::MIN),
                    taken: Timestamp(i64::MIN),
                    met: 0,
                })
            }
        };
        let packing = &mut self.packing;
        known.met = packing.pass;
        known.taken = known.written;
        packing.met += 1;
        let class = class_of(series.window);
        packing.widest[class] = packing.widest[class].max(series.window);
        let floats = (series.floats)(known.written);
        let histograms = (series.histograms)(known.written);
        let last = floats
            .last()
            .map(|s| s.t)
            .max(histograms.last().map(|h| h.0));
        if let Some(last) = last {
            known.taken = last;
            let packed = packing.classes[class].get_or_insert_with(|| Packed {
                packer: Packer::new(),
                newest: last,
            });
            packed.newest = packed.newest.max(last);
            packed.packer.series(known.number, &floats, &histograms);
        }
        if !known.named || self.all_names {
            packing.names.push((known.number, (series.labels)()));
        }
    }

    /// Ends the pass: what is to be written. Until [`committed`](Self::committed) is called, the
    /// next pass takes the same again.
    pub fn finish(&mut self, now: Timestamp) -> Pass {
        let pass = self.packing.pass;
        let packing = std::mem::replace(
            &mut self.packing,
            Packing {
                pass: pass.wrapping_add(1),
                ..Packing::default()
            },
        );
        for slot in &mut self.known {
            if slot.is_some_and(|known| known.met != pass) {
                *slot = None;
            }
        }
        let names = packing
            .names
            .iter()
            .map(|(number, labels)| (*number, labels));
        let done = Pass {
            names: codec::pack_names(names),
            names_anew: self.all_names,
            blocks: packing
                .classes
                .into_iter()
                .enumerate()
                .filter_map(|(class, packed)| {
                    let Packed { packer, newest } = packed?;
                    let body = packer.finish()?;
                    Some(Block {
                        class,
                        newest,
                        body,
                    })
                })
                .collect(),
            forget: (0..CLASSES.len())
                .map(|class| {
                    let longest = Duration::from_secs(CLASSES[class]);
                    let widest = match packing.widest[class] {
                        Duration::ZERO => longest,
                        widest => widest.min(longest),
                    };
                    (class, now - widest - MARGIN)
                })
                .collect(),
        };
        let names = packing.names.len();
        self.names = if self.all_names {
            names
        } else {
            self.names + names
        };
        self.all_names = self.names > 2 * packing.met + MANY_DEAD;
        done
    }

    /// Says that the last finished pass is in the file.
    pub fn committed(&mut self) {
        for known in self.known.iter_mut().flatten() {
            known.named = true;
            known.written = known.taken;
        }
    }
}

/// Reads a file: all its names first, then its blocks in the order in which they were written.
#[derive(Debug, Default)]
pub struct Loader {
    /// By number in the file.
    places: BTreeMap<u32, Known>,
    /// Place in the store, by number in the file.
    at: BTreeMap<u32, u32>,
    names: usize,
    next_number: u32,
    range: Option<(Timestamp, Timestamp)>,
    samples: u64,
}

impl Loader {
    /// Reads names; `place` says where a series is kept, with what tells it from others that had
    /// the place, or that nobody reads it any more.
    pub fn names(
        &mut self,
        body: &[u8],
        place: &mut dyn FnMut(&Labels) -> Option<(u32, u32)>,
    ) -> Result<(), Damage> {
        codec::unpack_names(body, &mut |number, labels| {
            self.names += 1;
            self.next_number = self.next_number.max(number.saturating_add(1));
            let Some((at, born)) = place(&labels) else {
                return;
            };
            let known = Known {
                born,
                number,
                named: true,
                written: Timestamp(i64::MIN),
                taken: Timestamp(i64::MIN),
                met: 0,
            };
            self.places.insert(number, known);
            self.at.insert(number, at);
        })
    }

    /// Reads a block; `take` gets the samples of each series that is kept, by its place.
    pub fn block(&mut self, body: &[u8], take: &mut dyn FnMut(&Read<'_>)) -> Result<(), Damage> {
        codec::unpack(body, &mut |one| {
            let floats = one.floats.iter().map(|s| s.t);
            let times = floats.chain(one.histograms.iter().map(|h| h.0));
            let Some((first, last)) = times.fold(None, |range, t| match range {
                None => Some((t, t)),
                Some((first, last)) => Some((t.min(first), t.max(last))),
            }) else {
                return;
            };
            let (Some(known), Some(at)) =
                (self.places.get_mut(&one.number), self.at.get(&one.number))
            else {
                return;
            };
            known.written = known.written.max(last);
            known.taken = known.written;
            self.range = Some(match self.range {
                None => (first, last),
                Some((from, until)) => (from.min(first), until.max(last)),
            });
            self.samples += (one.floats.len() + one.histograms.len()) as u64;
            take(&Read {
                place: *at,
                floats: &one.floats,
                histograms: &one.histograms,
            });
        })
    }

    /// Times of the oldest and the newest sample that were handed on.
    pub fn range(&self) -> Option<(Timestamp, Timestamp)> {
        self.range
    }

    /// Samples that were handed on.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The writer that goes on with this file.
    pub fn into_writer(self) -> Writer {
        let mut writer = Writer {
            next_number: self.next_number,
            names: self.names,
            ..Writer::default()
        };
        for (number, known) in self.places {
            let place = self.at.get(&number).map_or(0, |at| *at as usize);
            if writer.known.len() <= place {
                writer.known.resize(place + 1, None);
            }
            writer.known[place] = Some(known);
        }
        writer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Series by name, each with its window in seconds and its samples' seconds.
    #[derive(Default)]
    struct World(Vec<Option<(String, u64, Vec<i64>)>>);

    impl World {
        fn set(&mut self, place: usize, name: &str, window: u64, seconds: &[i64]) {
            if self.0.len() <= place {
                self.0.resize(place + 1, None);
            }
            self.0[place] = Some((name.to_owned(), window, seconds.to_vec()));
        }

        fn pass(&self, writer: &mut Writer, now: i64) -> Pass {
            for (place, one) in self.0.iter().enumerate() {
                let Some((name, window, seconds)) = one else {
                    continue;
                };
                let floats = |after: Timestamp| {
                    let all = seconds.iter().map(|s| Sample {
                        t: Timestamp::from_secs(*s),
                        v: *s as f64 / 3.0,
                    });
                    all.filter(|s| s.t > after).collect()
                };
                writer.take(&SeriesTail {
                    place: u32::try_from(place).unwrap(),
                    born: u32::try_from(name.len()).unwrap(),
                    window: Duration::from_secs(*window),
                    labels: &|| Labels::from_pairs([("__name__", name.as_str())]),
                    floats: &floats,
                    histograms: &|_| Vec::new(),
                });
            }
            writer.finish(Timestamp::from_secs(now))
        }
    }

    /// A file as its passes make it.
    #[derive(Default)]
    struct File {
        names: Vec<Vec<u8>>,
        blocks: Vec<Block>,
    }

    impl File {
        fn write(&mut self, pass: Pass) {
            if pass.names_anew {
                self.names.clear();
            }
            self.names.extend(pass.names);
            self.blocks.extend(pass.blocks);
            for (class, before) in pass.forget {
                self.blocks
                    .retain(|b| b.class != class || b.newest >= before);
            }
        }

        /// Every series whose name does not start with `x`, at places of its own.
        fn load(&self) -> (BTreeMap<String, Vec<i64>>, Loader) {
            let mut loader = Loader::default();
            let mut names = Vec::new();
            for body in &self.names {
                let place = &mut |labels: &Labels| {
                    let wanted = !labels.name().starts_with('x');
                    wanted.then(|| {
                        names.push(labels.name().to_owned());
                        (u32::try_from(names.len() - 1).unwrap(), 77)
                    })
                };
                loader.names(body, place).unwrap();
            }
            let mut found: BTreeMap<String, Vec<i64>> = BTreeMap::new();
            for block in &self.blocks {
                let take = &mut |read: &Read<'_>| {
                    let name = names[read.place as usize].clone();
                    let seconds = found.entry(name).or_default();
                    for s in read.floats {
                        assert_eq!(s.v, (s.t.millis() / 1000) as f64 / 3.0);
                        seconds.push(s.t.millis() / 1000);
                    }
                };
                loader.block(&block.body, take).unwrap();
            }
            (found, loader)
        }
    }

    #[test]
    fn a_pass_takes_what_is_new_and_a_failed_one_is_taken_again() {
        let (mut world, mut writer, mut file) =
            (World::default(), Writer::default(), File::default());
        world.set(0, "a", 360, &[10, 20]);
        world.set(1, "xx", 3600, &[15]);
        file.write(world.pass(&mut writer, 30));
        writer.committed();
        world.set(0, "a", 360, &[10, 20, 30, 40]);
        // Lost: the disk was full.
        let lost = world.pass(&mut writer, 45);
        world.set(0, "a", 360, &[10, 20, 30, 40, 50]);
        world.set(2, "ccc", 360, &[50]);
        let pass = world.pass(&mut writer, 60);
        assert!(pass.blocks[0].body.len() > lost.blocks[0].body.len());
        file.write(pass);
        writer.committed();
        let quiet = world.pass(&mut writer, 90);
        assert_eq!((quiet.names, quiet.blocks), (None, vec![]));

        let (found, loader) = file.load();
        assert_eq!(found["a"], [10, 20, 30, 40, 50]);
        assert_eq!(found["ccc"], [50]);
        assert_eq!(found.len(), 2, "what nobody reads is not handed on");
        let at = Timestamp::from_secs;
        assert_eq!(loader.range(), Some((at(10), at(50))));
        assert_eq!(loader.samples(), 6);

        // The writer that goes on writes neither the names nor the samples again.
        let mut writer = loader.into_writer();
        let mut world = World::default();
        for (place, (name, seconds)) in found.iter().enumerate() {
            world.set(place, name, 360, seconds);
        }
        for series in world.0.iter_mut().flatten() {
            // As the place told it when it was loaded.
            series.0 = format!("{:x<77}", series.0);
        }
        let quiet = world.pass(&mut writer, 90);
        assert_eq!((quiet.names, quiet.blocks), (None, vec![]));
    }

    #[test]
    fn a_place_that_another_series_takes_gets_another_name() {
        let (mut world, mut writer, mut file) =
            (World::default(), Writer::default(), File::default());
        world.set(0, "a", 360, &[10]);
        file.write(world.pass(&mut writer, 30));
        writer.committed();
        world.set(0, "bb", 360, &[40]);
        file.write(world.pass(&mut writer, 60));
        writer.committed();
        let (found, _) = file.load();
        assert_eq!((&found["a"], &found["bb"]), (&vec![10], &vec![40]));
    }

    #[test]
    fn blocks_go_when_no_window_of_their_class_reaches_them() {
        let (mut world, mut writer, mut file) =
            (World::default(), Writer::default(), File::default());
        for minute in 0..30 {
            world.set(0, "a", 360, &[minute * 60]);
            world.set(1, "bb", 3600, &[minute * 60]);
            file.write(world.pass(&mut writer, minute * 60));
            writer.committed();
        }
        let (found, _) = file.load();
        assert_eq!(found["a"], (22..30).map(|m| m * 60).collect::<Vec<_>>());
        assert_eq!(found["bb"].len(), 30);
        assert_eq!(class_of(Duration::MAX), CLASSES.len() - 1);
    }

    #[test]
    fn names_are_written_anew_when_most_are_dead() {
        let (mut writer, mut file) = (Writer::default(), File::default());
        for round in 0..40 {
            let mut world = World::default();
            for place in 0..100 {
                // Another series at every place in every round.
                world.set(place, &"n".repeat(1 + round), 360, &[60 * round as i64]);
            }
            file.write(world.pass(&mut writer, 60 * round as i64));
            writer.committed();
        }
        let mut loader = Loader::default();
        for body in &file.names {
            loader.names(body, &mut |_| None).unwrap();
        }
        assert!(
            loader.names <= 2 * 100 + MANY_DEAD + 100,
            "{}",
            loader.names
        );
    }
}
