//! Pictures with a palette, which take a fraction of the room.

use std::{
    collections::{BTreeMap, HashMap},
    io::Cursor,
};

type Colour = [u8; 3];

/// Colours of a palette.
const COLOURS: usize = 256;
/// So many of them are those that most of the picture has, exactly. The others are for what is rare and far from these, such as
/// the red of one word.
const FREQUENT: usize = 176;

/// A PNG again, with the 256 colours that fit it best.
pub(crate) fn with_palette(bytes: &[u8]) -> Vec<u8> {
    let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    pixels.truncate(info.buffer_size());
    let pixels: Vec<Colour> =
        pixels.chunks_exact(info.color_type.samples()).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    let palette = palette(&pixels);
    // A page has few colours: each of them is only looked up once.
    let mut known = HashMap::new();
    let indexes: Vec<u8> = pixels
        .iter()
        .map(|pixel| *known.entry(*pixel).or_insert_with(|| nearest(&palette, *pixel).0))
        .collect();
    let mut written = Vec::new();
    let mut encoder = png::Encoder::new(&mut written, info.width, info.height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette.concat());
    encoder.set_compression(png::Compression::High);
    encoder.set_filter(png::Filter::NoFilter);
    encoder.write_header().unwrap().write_image_data(&indexes).unwrap();
    written
}

fn palette(pixels: &[Colour]) -> Vec<Colour> {
    let mut counts: BTreeMap<Colour, usize> = BTreeMap::new();
    for pixel in pixels {
        *counts.entry(*pixel).or_default() += 1;
    }
    let mut colours: Vec<Colour> = counts.keys().copied().collect();
    colours.sort_by_key(|colour| std::cmp::Reverse(counts[colour]));
    let rest = colours.split_off(FREQUENT.min(colours.len()));
    let mut palette = colours;
    // How far each of the rest is from the palette.
    let mut far: Vec<(u32, Colour)> =
        rest.into_iter().map(|colour| (nearest(&palette, colour).1, colour)).collect();
    while palette.len() < COLOURS
        && let Some(&(_, farthest)) = far.iter().filter(|(distance, _)| *distance > 0).max()
    {
        palette.push(farthest);
        for (distance, colour) in &mut far {
            *distance = (*distance).min(apart(*colour, farthest));
        }
    }
    palette
}

/// The place in the palette of what is the nearest, and how far that is.
fn nearest(palette: &[Colour], colour: Colour) -> (u8, u32) {
    let distances = palette.iter().map(|known| apart(*known, colour)).zip(0..=u8::MAX);
    let (distance, index) = distances.min().expect("a picture has a colour");
    (index, distance)
}

fn apart(one: Colour, other: Colour) -> u32 {
    one.iter().zip(other).map(|(one, other)| u32::from(one.abs_diff(other)).pow(2)).sum()
}

#[test]
fn a_picture_of_few_colours_stays_as_it_is() {
    let pixels: Vec<Colour> = (0..=255).map(|n| [n, 255 - n, n / 2]).chain([[0, 255, 0]]).collect();
    let palette = palette(&pixels);
    assert_eq!(palette.len(), 256);
    assert!(pixels.iter().all(|pixel| palette[usize::from(nearest(&palette, *pixel).0)] == *pixel));
}

#[test]
fn a_rare_colour_keeps_its_place() {
    let greys = (0..100_000_u32).map(|n| [(n % 251) as u8; 3]);
    let blues = (0..5_000_u32).map(|n| [0, 0, (n % 256) as u8]);
    let pixels: Vec<Colour> = greys.chain(blues).chain([[250, 10, 10]]).collect();
    let palette = palette(&pixels);
    assert_eq!((palette.len(), nearest(&palette, [250, 10, 10]).1), (256, 0));
}
