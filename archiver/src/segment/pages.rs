//! The pages of a column, within bounds.
//!
//! Parquet's own reader believes a page: it reserves what the header says before it decompresses, and as many values as a
//! dictionary says it has. So it is given pages here that were decompressed and counted before: it reads them as they
//! stand in the file, as if the column were not compressed, and what they become is taken from a [`Budget`].

use std::{
    io::{self, Read},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use parquet::{
    basic::{Compression, Encoding},
    column::{
        page::{Page, PageMetadata, PageReader},
        reader::{ColumnReader, get_column_reader},
    },
    errors::{ParquetError, Result},
    file::{metadata::ColumnChunkMetaData, serialized_reader::SerializedPageReader},
};
use zstd::{bulk::Decompressor, stream::read::Decoder, zstd_safe::get_frame_content_size};

use super::{MOST_BYTES, SegmentError};

/// Largest window of a page's compression, as a power of two: those of this library have 2^19 bytes.
const WINDOW: u32 = 23;
/// What is reserved for a page before it is decompressed: most are no larger.
const RESERVED: usize = 1 << 20;
/// The least bytes that a value in a dictionary takes.
const VALUE_BYTES: usize = 4;

/// What one reading of a segment decompresses with, and the bytes that it may still have.
#[derive(Clone)]
pub(super) struct Budget {
    left: Arc<AtomicUsize>,
    /// One for all pages: to make one costs more than a page.
    decompressor: Arc<Mutex<Decompressor<'static>>>,
}

impl Budget {
    /// All that a segment may have.
    pub(super) fn new() -> std::result::Result<Self, SegmentError> {
        Self::of(MOST_BYTES).map_err(SegmentError::new)
    }

    fn of(bytes: usize) -> io::Result<Self> {
        let decompressor = Arc::new(Mutex::new(Decompressor::new()?));
        Ok(Self { left: Arc::new(AtomicUsize::new(bytes)), decompressor })
    }

    fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> Result<()> {
        let taken =
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        taken
            .map(drop)
            .map_err(|_| wrong("decompressed it has more bytes than a segment may have".to_owned()))
    }
}

/// The column of `rows` rows that `chunk` describes in `file`.
pub(super) fn column(
    file: &Arc<Bytes>,
    chunk: &ColumnChunkMetaData,
    rows: usize,
    budget: &Budget,
) -> std::result::Result<ColumnReader, SegmentError> {
    let compressed = match chunk.compression() {
        Compression::UNCOMPRESSED => false,
        Compression::ZSTD(_) => true,
        other => {
            return Err(SegmentError::new(format_args!("{other} is not how its columns are compressed")));
        }
    };
    let as_it_stands = chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
    let raw = SerializedPageReader::new(Arc::clone(file), &as_it_stands, rows, None)?;
    let pages = Pages { raw, bounds: Bounds { compressed, rows, budget: budget.clone() } };
    Ok(get_column_reader(chunk.column_descr_ptr(), Box::new(pages)))
}

/// Pages as the file has them, made what they were before they were compressed.
struct Pages {
    raw: SerializedPageReader<Bytes>,
    bounds: Bounds,
}

/// What the pages of one column are held to.
struct Bounds {
    compressed: bool,
    rows: usize,
    budget: Budget,
}

impl Bounds {
    fn page(&self, mut page: Page) -> Result<Page> {
        match &mut page {
            Page::DataPage { buf, num_values, encoding, .. } => {
                if *num_values as usize > self.rows {
                    return Err(wrong(format!("a page of {num_values} values for {} rows", self.rows)));
                }
                // Only what a segment is written in: other decoders reserve by what their data say.
                let known = [Encoding::PLAIN, Encoding::RLE_DICTIONARY, Encoding::DELTA_BINARY_PACKED];
                if !known.contains(encoding) {
                    return Err(wrong(format!("{encoding} is not how its values are written")));
                }
                *buf = self.decompress(buf)?;
            }
            Page::DictionaryPage { buf, num_values, .. } => {
                *buf = self.decompress(buf)?;
                if *num_values as usize > buf.len() / VALUE_BYTES {
                    return Err(wrong(format!("a dictionary of {num_values} values in {} bytes", buf.len())));
                }
            }
            Page::DataPageV2 { .. } => return Err(wrong("its pages are of another version".to_owned())),
        }
        Ok(page)
    }

    fn decompress(&self, buf: &Bytes) -> Result<Bytes> {
        if !self.compressed {
            return Ok(buf.clone());
        }
        let page = match self.at_once(buf) {
            Some(page) => page,
            None => self.by_and_by(buf)?,
        };
        self.budget.take(page.len())?;
        Ok(page.into())
    }

    /// A page that says how large it is, and is no larger than most.
    fn at_once(&self, buf: &[u8]) -> Option<Vec<u8>> {
        let bytes = usize::try_from(get_frame_content_size(buf).ok()??).ok()?;
        if bytes > self.budget.left().min(RESERVED) {
            return None;
        }
        let mut decompressor = self.budget.decompressor.lock().unwrap_or_else(PoisonError::into_inner);
        decompressor.decompress(buf, bytes).ok()
    }

    /// Any page, its memory growing with what comes out.
    fn by_and_by(&self, buf: &[u8]) -> Result<Vec<u8>> {
        let left = self.budget.left();
        let mut page = Vec::with_capacity(left.min(RESERVED));
        let mut decoder = Decoder::with_buffer(buf)?;
        decoder.window_log_max(WINDOW)?;
        decoder.take(left as u64 + 1).read_to_end(&mut page)?;
        page.shrink_to_fit();
        Ok(page)
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        self.raw.get_next_page()?.map(|page| self.bounds.page(page)).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.raw.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.raw.skip_next_page()
    }
}

fn wrong(what: String) -> ParquetError {
    ParquetError::General(what)
}

#[cfg(test)]
mod tests {
    use zstd::bulk::compress;

    use super::*;

    fn bounds(compressed: bool, budget: usize) -> Bounds {
        Bounds { compressed, rows: 10, budget: Budget::of(budget).expect("memory") }
    }

    fn data(buf: Vec<u8>, num_values: u32, encoding: Encoding) -> Page {
        let levels = Encoding::RLE;
        Page::DataPage {
            buf: buf.into(),
            num_values,
            encoding,
            def_level_encoding: levels,
            rep_level_encoding: levels,
            statistics: None,
        }
    }

    fn dictionary(buf: Vec<u8>, num_values: u32) -> Page {
        Page::DictionaryPage { buf: buf.into(), num_values, encoding: Encoding::PLAIN, is_sorted: false }
    }

    #[test]
    fn pages_that_unpack_to_more_than_is_left_are_refused() {
        let bomb = || compress(&vec![0; 8 << 20], 1).expect("compresses");
        assert!(bomb().len() < 1_000);
        let bounds = bounds(true, 20 << 20);
        for _ in 0..2 {
            let page = bounds.page(data(bomb(), 1, Encoding::PLAIN)).expect("there is room");
            assert_eq!(page.buffer().len(), 8 << 20);
        }
        let error = bounds.page(data(bomb(), 1, Encoding::PLAIN)).expect_err("no room is left");
        assert!(error.to_string().contains("more bytes than a segment may have"), "{error}");
    }

    #[test]
    fn a_page_that_lies_about_its_size_is_taken_for_what_it_is() {
        let mut small = compress(&[7; 300], 1).expect("compresses");
        let page = |buf: &[u8]| bounds(true, 1 << 20).decompress(&Bytes::copy_from_slice(buf));
        assert_eq!(page(&small).expect("a page").as_ref(), [7; 300]);
        // Two frames: the first says 300.
        small.extend(small.clone());
        assert_eq!(page(&small).expect("a page").as_ref(), [7; 600]);
        // It says 44 in place of 300: a frame of one segment, whose size has two bytes less 256.
        assert_eq!(small[4] & 0b1110_0000, 0b0110_0000);
        small[5..7].fill(0);
        page(&small).expect_err("its size is another");
    }

    #[test]
    fn a_window_larger_than_any_writers_is_refused() {
        // A frame without its size, so that only its window says what a decoder reserves: 2^27 bytes.
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3];
        frame.extend([0x01, 0x00, 0x00]);
        bounds(true, 1 << 30).page(data(frame, 1, Encoding::PLAIN)).expect_err("a window of 128 MiB");
    }

    #[test]
    fn a_page_cannot_say_that_it_has_more_values_than_it_holds() {
        let bounds = bounds(false, 0);
        assert!(bounds.page(dictionary(vec![0; 12], 3)).is_ok());
        assert!(bounds.page(dictionary(vec![0; 12], 4)).is_err());
        assert!(bounds.page(dictionary(Vec::new(), u32::MAX)).is_err());
        assert!(bounds.page(data(Vec::new(), 10, Encoding::PLAIN)).is_ok());
        assert!(bounds.page(data(Vec::new(), 11, Encoding::PLAIN)).is_err());
    }

    #[test]
    fn only_what_a_segment_is_written_in_is_decoded() {
        let bounds = bounds(false, 0);
        for other in [Encoding::DELTA_BYTE_ARRAY, Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::RLE] {
            assert!(bounds.page(data(Vec::new(), 1, other)).is_err(), "{other}");
        }
    }
}
