//! Places on a globe as 52-bit numbers, and distances between them.
//!
//! Longitude and latitude are halved 26 times each; the bits of both, interleaved, are the number.
//! Places near each other mostly share their first bits, so a *cell*, all places whose number
//! begins with some bits, is one range of numbers, and a search looks at the cell of its centre and
//! the eight around it.
//!
//! ```text
//! number: lon₂₅ lat₂₅ lon₂₄ lat₂₄ … lon₀ lat₀      cell of `step` bits each: its first 2·step bits
//! ```
//!
//! It agrees with Redis to the last bit, as the numbers are stored as scores: latitudes end at the
//! square of the Mercator projection, the Earth is a sphere, and the size of the cells is chosen as
//! there. A number of 52 bits is exact in a double. It knows no keys and no members. Read
//! [`Place`], then [`Search`].

use std::ops::Range;

/// Bits of each of the two in a number.
const STEPS: u32 = 26;
/// The end of longitudes, both ways.
pub const MAX_LONGITUDE: f64 = 180.0;
/// The end of latitudes, both ways: the square of the Mercator projection.
pub const MAX_LATITUDE: f64 = 85.05112878;
const EARTH_RADIUS_METERS: f64 = 6372797.560856;
/// Half the circumference of the projection.
const MERCATOR_MAX_METERS: f64 = 20037726.37;

/// A point on the globe, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// East is positive.
    pub longitude: f64,
    /// North is positive.
    pub latitude: f64,
}

impl Place {
    /// True when a number can name it.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.longitude.abs() <= MAX_LONGITUDE && self.latitude.abs() <= MAX_LATITUDE
    }

    /// The number of a valid place.
    #[must_use]
    pub fn number(&self) -> u64 {
        Cell::around(self, STEPS, MAX_LATITUDE).number()
    }

    /// The middle of the smallest cell with this number. Any number is some valid place.
    #[must_use]
    pub fn of_number(number: u64) -> Self {
        let area = Cell { latitude: compact(number), longitude: compact(number >> 1), step: STEPS }.area();
        let middle = |low: f64, high: f64, max: f64| ((low + high) / 2.0).clamp(-max, max);
        Place {
            longitude: middle(area.west, area.east, MAX_LONGITUDE),
            latitude: middle(area.south, area.north, MAX_LATITUDE),
        }
    }

    /// The standard geohash, which goes up to the poles, in 11 letters; the last has no bits left.
    #[must_use]
    pub fn text(&self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let number = Cell::around(self, STEPS, 90.0).number();
        std::array::from_fn(|letter| match letter {
            10 => ALPHABET[0],
            _ => ALPHABET[(number >> (47 - 5 * letter)) as usize & 31],
        })
    }

    /// Meters to another place, along the sphere.
    #[must_use]
    pub fn distance(&self, other: &Place) -> f64 {
        let (from, to) = (self.latitude.to_radians_exactly(), other.latitude.to_radians_exactly());
        let across =
            ((other.longitude.to_radians_exactly() - self.longitude.to_radians_exactly()) / 2.0).sin();
        if across == 0.0 {
            return EARTH_RADIUS_METERS * (to - from).abs();
        }
        let along = ((to - from) / 2.0).sin();
        let half_chord = along * along + from.cos() * to.cos() * across * across;
        2.0 * EARTH_RADIUS_METERS * half_chord.sqrt().asin()
    }
}

/// The conversions as Redis writes them; `f64::to_radians` may round otherwise.
trait Degrees {
    fn to_radians_exactly(self) -> f64;
    fn to_degrees_exactly(self) -> f64;
}

const RADIANS_PER_DEGREE: f64 = std::f64::consts::PI / 180.0;

impl Degrees for f64 {
    fn to_radians_exactly(self) -> f64 {
        self * RADIANS_PER_DEGREE
    }

    fn to_degrees_exactly(self) -> f64 {
        self / RADIANS_PER_DEGREE
    }
}

/// The area that is searched around a centre; in meters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SearchArea {
    /// Everything within this radius.
    Circle(f64),
    /// A box of this width and height.
    Box(f64, f64),
}

/// A search for places. See [`Search::ranges`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// The middle, a valid place.
    pub centre: Place,
    /// The area that is searched around it.
    pub shape: SearchArea,
}

impl Search {
    /// Meters from the centre to `place`, if it belongs to the result.
    #[must_use]
    pub fn distance_inside(&self, place: &Place) -> Option<f64> {
        match self.shape {
            SearchArea::Circle(radius) => {
                Some(self.centre.distance(place)).filter(|&distance| distance <= radius)
            }
            SearchArea::Box(width, height) => {
                let level = Place { latitude: place.latitude, ..self.centre };
                let along = self.centre.distance(&level);
                // Redis: NaN and infinite boxes hold everything, as nothing is greater.
                if along > height / 2.0 || level.distance(place) > width / 2.0 {
                    return None;
                }
                Some(self.centre.distance(place))
            }
        }
    }

    /// The numbers among which all results are, as up to nine ranges, in the order Redis looks at
    /// them: the centre's cell, then north, south, east, west, and the corners.
    #[must_use]
    pub fn ranges(&self) -> Vec<Range<u64>> {
        let bounds = self.bounds();
        let mut step = self.estimated_step();
        let mut cell = Cell::around(&self.centre, step, MAX_LATITUDE);
        if step > 1 && !cell.reaches(&bounds) {
            step -= 1;
            cell = Cell::around(&self.centre, step, MAX_LATITUDE);
        }
        let mut cells: Vec<Cell> = Vec::with_capacity(9);
        for (north, east) in [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)] {
            let next = cell.moved(north, east);
            // Around a large search two neighbours can be the same cell.
            let is_new = cells.len() < 2 || cells.last() != Some(&next);
            if is_new && (step < 2 || !cell.area().needs_none(&bounds, north, east)) {
                cells.push(next);
            }
        }
        cells.iter().map(Cell::range).collect()
    }

    /// The box around the shape, in degrees.
    fn bounds(&self) -> Area {
        let (width, height) = match self.shape {
            SearchArea::Circle(radius) => (radius, radius),
            SearchArea::Box(width, height) => (width / 2.0, height / 2.0),
        };
        let Place { longitude, latitude } = self.centre;
        let up = (height / EARTH_RADIUS_METERS).to_degrees_exactly();
        // Degrees of longitude are the shorter the nearer to a pole: the wider side decides.
        let widest = if latitude < 0.0 { latitude - up } else { latitude + up };
        let aside = (width / EARTH_RADIUS_METERS / widest.to_radians_exactly().cos()).to_degrees_exactly();
        Area { west: longitude - aside, east: longitude + aside, south: latitude - up, north: latitude + up }
    }

    /// Returns the step with the smallest cells of which nine hold most searches of this size.
    fn estimated_step(&self) -> u32 {
        let mut meters = match self.shape {
            SearchArea::Circle(radius) => radius,
            SearchArea::Box(width, height) => {
                (width / 2.0 * (width / 2.0) + height / 2.0 * (height / 2.0)).sqrt()
            }
        };
        if meters == 0.0 {
            return STEPS;
        }
        // Doubling even the smallest number gets there in some 1100 rounds.
        let mut step = -1i32;
        while meters < MERCATOR_MAX_METERS {
            meters *= 2.0;
            step += 1;
        }
        let latitude = self.centre.latitude.abs();
        step -= i32::from(latitude > 66.0) + i32::from(latitude > 80.0);
        step.clamp(1, STEPS as i32).unsigned_abs()
    }
}

/// A box in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    west: f64,
    east: f64,
    south: f64,
    north: f64,
}

impl Area {
    /// True when nothing of `bounds` is in the neighbour of this area in a direction.
    fn needs_none(&self, bounds: &Area, north: i32, east: i32) -> bool {
        (north < 0 && self.south < bounds.south)
            || (north > 0 && self.north > bounds.north)
            || (east < 0 && self.west < bounds.west)
            || (east > 0 && self.east > bounds.east)
    }
}

/// All places whose number begins with the bits of two coordinates, `step` bits each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    latitude: u32,
    longitude: u32,
    step: u32,
}

impl Cell {
    /// The cell of a place; latitudes go up to `max_latitude`.
    fn around(place: &Place, step: u32, max_latitude: f64) -> Self {
        let share = |value: f64, max: f64| ((value + max) / (max + max) * f64::from(1u32 << step)) as u32;
        Cell {
            latitude: share(place.latitude, max_latitude),
            longitude: share(place.longitude, MAX_LONGITUDE),
            step,
        }
    }

    fn number(&self) -> u64 {
        spread(self.latitude) | spread(self.longitude) << 1
    }

    /// The numbers of all places in it.
    fn range(&self) -> Range<u64> {
        let shift = 2 * (STEPS - self.step);
        self.number() << shift..(self.number() + 1) << shift
    }

    /// The neighbour some cells to the north and east; at the edges the map goes round. Redis: the
    /// last degree itself is beyond the last cell, and only a move in its direction brings it back.
    fn moved(&self, north: i32, east: i32) -> Self {
        let mask = (1 << self.step) - 1;
        let go = |from: u32, by: i32| if by == 0 { from } else { from.wrapping_add_signed(by) & mask };
        Cell { latitude: go(self.latitude, north), longitude: go(self.longitude, east), step: self.step }
    }

    fn area(&self) -> Area {
        let degrees =
            |share: u32, max: f64| -max + f64::from(share) / f64::from(1u32 << self.step) * (max - -max);
        Area {
            west: degrees(self.longitude, MAX_LONGITUDE),
            east: degrees(self.longitude.wrapping_add(1), MAX_LONGITUDE),
            south: degrees(self.latitude, MAX_LATITUDE),
            north: degrees(self.latitude.wrapping_add(1), MAX_LATITUDE),
        }
    }

    /// True when the cell and its neighbours hold all of `bounds`.
    fn reaches(&self, bounds: &Area) -> bool {
        !(self.moved(1, 0).area().north < bounds.north
            || self.moved(-1, 0).area().south > bounds.south
            || self.moved(0, 1).area().east < bounds.east
            || self.moved(0, -1).area().west > bounds.west)
    }
}

/// Puts a zero before each bit.
fn spread(bits: u32) -> u64 {
    let mut wide = u64::from(bits);
    for (shift, mask) in SPREAD {
        wide = (wide | wide << shift) & mask;
    }
    wide
}

/// Takes every other bit, the lowest first.
fn compact(number: u64) -> u32 {
    let mut bits = number & SPREAD[4].1;
    for at in (0..5).rev() {
        let mask = if at == 0 { 0xffff_ffff } else { SPREAD[at - 1].1 };
        bits = (bits | bits >> SPREAD[at].0) & mask;
    }
    bits as u32
}

/// Halves move apart by these shifts; the masks are what is left of both.
const SPREAD: [(u32, u64); 5] = [
    (16, 0x0000_ffff_0000_ffff),
    (8, 0x00ff_00ff_00ff_00ff),
    (4, 0x0f0f_0f0f_0f0f_0f0f),
    (2, 0x3333_3333_3333_3333),
    (1, 0x5555_5555_5555_5555),
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(longitude: f64, latitude: f64) -> Place {
        Place { longitude, latitude }
    }

    #[test]
    fn a_place_of_the_documentation_has_its_known_number_text_and_distance() {
        let (palermo, catania) = (place(13.361389, 38.115556), place(15.087269, 37.502669));
        assert_eq!(palermo.number(), 3_479_099_956_230_698);
        assert_eq!(catania.number(), 3_479_447_370_796_909);
        let [palermo, catania] = [palermo, catania].map(|place| Place::of_number(place.number()));
        assert_eq!((palermo.text(), catania.text()), (*b"sqc8b49rny0", *b"sqdtr74hyu0"));
        assert_eq!(format!("{:.4}", palermo.distance(&catania)), "166274.1516");
        assert_eq!(palermo.distance(&palermo), 0.0);
    }

    #[test]
    fn any_number_is_a_valid_place() {
        for number in [0, 1, (1 << 52) - 1, u64::MAX, 1 << 63] {
            assert!(Place::of_number(number).is_valid(), "{number}");
        }
        assert!(
            !place(180.1, 0.0).is_valid()
                && !place(0.0, -86.0).is_valid()
                && !place(f64::NAN, 0.0).is_valid()
        );
    }

    #[test]
    fn extreme_searches_end() {
        for shape in [
            SearchArea::Circle(0.0),
            SearchArea::Circle(5e-324),
            SearchArea::Circle(f64::INFINITY),
            SearchArea::Box(1e308, 0.0),
        ] {
            for latitude in [-MAX_LATITUDE, 0.0, 70.0, MAX_LATITUDE] {
                let ranges = Search { centre: place(180.0, latitude), shape }.ranges();
                assert!((1..=9).contains(&ranges.len()), "{shape:?}");
            }
        }
    }

    fn any_place() -> impl Strategy<Value = Place> {
        (-180.0..180.0, -85.0..85.0).prop_map(|(longitude, latitude)| place(longitude, latitude))
    }

    proptest! {
        #[test]
        fn bits_come_back(bits: u32) {
            prop_assert_eq!(compact(spread(bits)), bits);
            prop_assert_eq!(compact(spread(bits) << 1), 0);
        }

        #[test]
        fn a_number_leads_back_to_nearly_the_same_place(place in any_place()) {
            let again = Place::of_number(place.number());
            prop_assert!(place.distance(&again) < 0.6, "{again:?}");
            prop_assert_eq!(again.number(), place.number());
        }

        #[test]
        fn what_is_near_is_in_one_of_the_ranges(
            longitude in -170.0..170.0, latitude in -70.0..70.0, east in -1.0..1.0, north in -1.0..1.0,
            radius in 1.0..100_000.0,
        ) {
            let centre = place(longitude, latitude);
            let other = Place::of_number(place(longitude + east, latitude + north).number());
            for shape in [SearchArea::Circle(radius), SearchArea::Box(2.0 * radius, radius)] {
                let search = Search { centre, shape };
                if search.distance_inside(&other).is_some() {
                    let number = other.number();
                    prop_assert_eq!(search.ranges().iter().filter(|range| range.contains(&number)).count(), 1);
                }
            }
        }
    }
}
