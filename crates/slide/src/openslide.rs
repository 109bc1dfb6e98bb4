//! OpenSlide, if it is there when the program runs: slides of the makers that are not read here.
//!
//! A thin binding to the C library (<https://openslide.org>, LGPL-2.1) of version 4 or later. Nothing of it is needed to build.
//! Where a region of a smaller level begins between two of its pixels, OpenSlide moves the picture by the difference, of at
//! most half a pixel of level 0: its places are those of level 0.
#![expect(unsafe_code, reason = "functions of a C library")]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use image::RgbImage;
use libloading::Library;

use crate::error::{Error, Result};
use crate::reader::Reader;
use crate::slide::{Description, Inside, Level, OpenOptions};

/// The variable of the environment that names the file of the library.
pub const VARIABLE: &str = "CLEANSLIDE_OPENSLIDE";

/// Names under which systems know it.
const NAMES: &[&str] = if cfg!(target_os = "windows") {
    &["libopenslide-1.dll"]
} else if cfg!(target_os = "macos") {
    &[
        "libopenslide.1.dylib",
        "/opt/homebrew/lib/libopenslide.1.dylib",
        "/usr/local/lib/libopenslide.1.dylib",
    ]
} else {
    &["libopenslide.so.1"]
};

/// An open slide of the library.
#[repr(C)]
struct Opaque {
    _private: [u8; 0],
}

type Text = *const c_char;
type Texts = *const Text;

macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// Its functions, by their names without `openslide_`.
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            /// They live as long as it does.
            _library: Library,
        }

        impl Functions {
            fn of(library: Library) -> Result<Self, String> {
                // SAFETY: the names and types are those of openslide.h of version 4.
                unsafe {
                    $(let $name = *library
                        .get(concat!("openslide_", stringify!($name), "\0").as_bytes())
                        .map_err(|_| concat!("is of a version before 4: it has no openslide_", stringify!($name)).to_owned())?;)*
                    Ok(Self { $($name,)* _library: library })
                }
            }
        }
    };
}

functions! {
    get_version: fn() -> Text;
    detect_vendor: fn(Text) -> Text;
    open: fn(Text) -> *mut Opaque;
    close: fn(*mut Opaque);
    get_error: fn(*mut Opaque) -> Text;
    get_level_count: fn(*mut Opaque) -> i32;
    get_level_dimensions: fn(*mut Opaque, i32, *mut i64, *mut i64);
    get_level_downsample: fn(*mut Opaque, i32) -> f64;
    read_region: fn(*mut Opaque, *mut u32, i64, i64, i32, i64, i64);
    get_property_names: fn(*mut Opaque) -> Texts;
    get_property_value: fn(*mut Opaque, Text) -> Text;
    get_associated_image_names: fn(*mut Opaque) -> Texts;
    get_associated_image_dimensions: fn(*mut Opaque, Text, *mut i64, *mut i64);
    read_associated_image: fn(*mut Opaque, Text, *mut u32);
    cache_create: fn(usize) -> *mut c_void;
    cache_release: fn(*mut c_void);
    set_cache: fn(*mut Opaque, *mut c_void);
}

/// The library, looked for once; or why it is not used.
fn functions() -> Result<&'static Functions> {
    static FUNCTIONS: OnceLock<Result<Functions, String>> = OnceLock::new();
    let functions = FUNCTIONS.get_or_init(|| {
        let chosen = std::env::var_os(VARIABLE).map(PathBuf::from);
        let names = NAMES.iter().map(PathBuf::from);
        let candidates: Vec<PathBuf> = match &chosen {
            Some(file) => vec![file.clone()],
            None => names.collect(),
        };
        for name in &candidates {
            // SAFETY: it is loaded for good, and its initialisers do nothing that Rust forbids.
            if let Ok(library) = unsafe { Library::new(name) } {
                return Functions::of(library);
            }
        }
        Err(match chosen {
            Some(file) => format!("cannot be loaded from {} ({VARIABLE})", file.display()),
            None => "is not found on this machine".to_owned(),
        })
    });
    functions
        .as_ref()
        .map_err(|missing| Error::OpenSlide(missing.clone()))
}

/// The version of the library.
///
/// # Errors
/// It is not found, or is older than version 4.
pub fn version() -> Result<String> {
    let functions = functions()?;
    // SAFETY: a static text.
    Ok(unsafe { text((functions.get_version)()) }.unwrap_or_default())
}

/// A text of the library, copied.
///
/// # Safety
/// Null, or a text that ends with a zero.
unsafe fn text(text: Text) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's.
    Some(
        unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned(),
    )
}

/// Texts of the library, copied.
///
/// # Safety
/// Null, or texts the last of which is null.
unsafe fn texts(texts: Texts) -> Vec<String> {
    let mut all = Vec::new();
    if texts.is_null() {
        return all;
    }
    // SAFETY: the caller's: the first null ends them.
    while let Some(one) = unsafe { text(*texts.add(all.len())) } {
        all.push(one);
    }
    all
}

/// A slide that the library has open. Many threads may read from it.
struct Handle {
    functions: &'static Functions,
    slide: *mut Opaque,
}

// SAFETY: "openslide_t objects are thread-safe" but for closing them, which `Drop` does when nobody has the handle any more.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it is open, and nobody uses it any more.
        unsafe { (self.functions.close)(self.slide) }
    }
}

fn path_text(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|_| Error::file(path, "its name has a zero in it"))
}

impl Handle {
    /// Opens a file; `None` if the library does not know its kind.
    fn open(path: &Path, cache: u64) -> Result<Option<Self>> {
        let functions = functions()?;
        let name = path_text(path)?;
        // SAFETY: the name is a text that ends with a zero; what is returned is null or an open slide.
        let slide = unsafe { (functions.open)(name.as_ptr()) };
        if slide.is_null() {
            return Ok(None);
        }
        let handle = Self { functions, slide };
        handle
            .check()
            .map_err(|problem| Error::file(path, problem))?;
        let bytes = usize::try_from(cache).unwrap_or(usize::MAX);
        // SAFETY: the slide is open; it keeps the cache, which is given back here.
        unsafe {
            let cache = (functions.cache_create)(bytes);
            (functions.set_cache)(slide, cache);
            (functions.cache_release)(cache);
        }
        Ok(Some(handle))
    }

    /// Whether nothing has gone wrong with it so far; after an error all reads fail.
    fn check(&self) -> Result<(), String> {
        // SAFETY: it is open.
        match unsafe { text((self.functions.get_error)(self.slide)) } {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn properties(&self) -> BTreeMap<String, String> {
        // SAFETY: it is open; the names live as long as it does.
        let names = unsafe { texts((self.functions.get_property_names)(self.slide)) };
        let mut properties = BTreeMap::new();
        for name in names {
            let Ok(key) = CString::new(name.as_str()) else {
                continue;
            };
            // SAFETY: as above.
            let value = unsafe { (self.functions.get_property_value)(self.slide, key.as_ptr()) };
            // SAFETY: as above.
            if let Some(value) = unsafe { text(value) } {
                properties.insert(name, value);
            }
        }
        properties
    }

    fn levels(&self, properties: &BTreeMap<String, String>) -> Vec<Level> {
        // SAFETY: it is open.
        let count = unsafe { (self.functions.get_level_count)(self.slide) };
        let level = |level: i32| {
            let [mut width, mut height] = [0i64; 2];
            // SAFETY: it is open, and the numbers live until the call returns.
            let downsample = unsafe {
                (self.functions.get_level_dimensions)(self.slide, level, &mut width, &mut height);
                (self.functions.get_level_downsample)(self.slide, level)
            };
            let side = |side: &str| -> u32 {
                let name = format!("openslide.level[{level}].tile-{side}");
                properties
                    .get(&name)
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(256)
            };
            Level {
                size: [width, height].map(|side| side.max(0) as u64),
                downsample,
                tile: [side("width"), side("height")],
            }
        };
        (0..count).map(level).collect()
    }

    fn associated(&self) -> Vec<String> {
        // SAFETY: it is open; the names live as long as it does.
        unsafe { texts((self.functions.get_associated_image_names)(self.slide)) }
    }
}

struct OpenSlide {
    path: PathBuf,
    cache: u64,
    description: Description,
    /// After an error the library reads nothing more from a handle: it is replaced then.
    handle: RwLock<Arc<Handle>>,
}

/// Opens a file, or of a folder the first file that the library knows.
pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn Reader>> {
    let path = match path.is_dir() {
        true => first_known(path)?,
        false => path.to_owned(),
    };
    let Some(handle) = Handle::open(&path, options.cache)? else {
        return Err(Error::Unknown {
            path,
            reason: "OpenSlide does not know it".to_owned(),
        });
    };
    let properties = handle.properties();
    let number = |name: &str| -> Option<f64> {
        let number: f64 = properties.get(name)?.parse().ok()?;
        (number > 0.0).then_some(number)
    };
    let microns = number("openslide.mpp-x").zip(number("openslide.mpp-y"));
    let bound = |name: &str| -> Option<u64> {
        properties
            .get(&format!("openslide.bounds-{name}"))?
            .parse()
            .ok()
    };
    let bounds = || Some([bound("x")?, bound("y")?, bound("width")?, bound("height")?]);
    let vendor = properties
        .get("openslide.vendor")
        .map_or("unknown", String::as_str);
    let description = Description {
        levels: handle.levels(&properties),
        microns_per_pixel: microns.map(|(x, y)| f64::midpoint(x, y)),
        bounds: bounds(),
        associated: handle.associated(),
        format: format!("{vendor}, by OpenSlide {}", version()?),
        properties,
    };
    if description.levels.is_empty() {
        return Err(Error::file(&path, "OpenSlide finds no level in it"));
    }
    Ok(Box::new(OpenSlide {
        path,
        cache: options.cache,
        description,
        handle: RwLock::new(Arc::new(handle)),
    }))
}

/// The first file of a folder, by name, that the library knows: slides in DICOM are folders.
fn first_known(folder: &Path) -> Result<PathBuf> {
    let functions = functions()?;
    let entries = std::fs::read_dir(folder).and_then(|entries| {
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.collect::<std::io::Result<Vec<_>>>()
    });
    let mut files = entries.map_err(|error| Error::io("read", folder, error))?;
    files.sort();
    for file in files.into_iter().filter(|file| file.is_file()) {
        let name = path_text(&file)?;
        // SAFETY: a text that ends with a zero.
        if !unsafe { (functions.detect_vendor)(name.as_ptr()) }.is_null() {
            return Ok(file);
        }
    }
    Err(Error::Unknown {
        path: folder.to_owned(),
        reason: "OpenSlide knows no file in it".to_owned(),
    })
}

impl OpenSlide {
    /// Lets the library fill numbers of pixels, and says what went wrong with that.
    fn filled(&self, pixels: usize, fill: impl Fn(&Handle, *mut u32)) -> Result<Vec<u32>, String> {
        let filled = |handle: &Handle| {
            let mut numbers = vec![0u32; pixels];
            fill(handle, numbers.as_mut_ptr());
            handle.check().map(|()| numbers)
        };
        let handle = Arc::clone(&self.handle.read().unwrap_or_else(PoisonError::into_inner));
        filled(&handle).or_else(|_| {
            // The error may be that of another thread: one that nobody else has tells.
            let open = || match Handle::open(&self.path, self.cache) {
                Ok(Some(handle)) => Ok(handle),
                Ok(None) => Err("OpenSlide does not know it any more".to_owned()),
                Err(error) => Err(error.to_string()),
            };
            let mut current = self.handle.write().unwrap_or_else(PoisonError::into_inner);
            if Arc::ptr_eq(&current, &handle) {
                *current = Arc::new(open()?);
            }
            drop(current);
            filled(&open()?)
        })
    }
}

impl Reader for OpenSlide {
    fn description(&self) -> &Description {
        &self.description
    }

    fn read(&self, part: &Inside, region: &mut RgbImage) -> Result<()> {
        let [width, height] = part.size;
        let downsample = self.description.levels[part.level].downsample;
        let of_whole = [part.left, part.top].map(|at| (at as f64 * downsample).round() as i64);
        let pixels = self.filled(width as usize * height as usize, |handle, numbers| {
            let [x, y] = of_whole;
            // SAFETY: the slide is open, and there is room for so many pixels.
            unsafe {
                let read = handle.functions.read_region;
                read(
                    handle.slide,
                    numbers,
                    x,
                    y,
                    part.level as i32,
                    width.into(),
                    height.into(),
                );
            }
        });
        let pixels = pixels.map_err(|problem| Error::Region {
            path: self.path.clone(),
            level: part.level,
            left: part.left as i64,
            top: part.top as i64,
            width,
            height,
            problem,
        })?;
        for (row, pixels) in pixels.chunks_exact(width as usize).enumerate() {
            for (column, pixel) in pixels.iter().enumerate() {
                let place = (part.at[0] + column as u32, part.at[1] + row as u32);
                region[place] = on_white(*pixel);
            }
        }
        Ok(())
    }

    fn associated(&self, name: &str) -> Result<RgbImage> {
        let problem =
            |problem: String| Error::file(&self.path, format!("its image `{name}`: {problem}"));
        let key = CString::new(name).map_err(|error| problem(error.to_string()))?;
        let [mut width, mut height] = [0i64; 2];
        {
            let handle = self.handle.read().unwrap_or_else(PoisonError::into_inner);
            // SAFETY: the slide is open, and the numbers live until the call returns.
            unsafe {
                let size = handle.functions.get_associated_image_dimensions;
                size(handle.slide, key.as_ptr(), &mut width, &mut height);
            }
        }
        if width <= 0 || height <= 0 {
            return Err(problem("it has no size".to_owned()));
        }
        let pixels = self.filled((width * height) as usize, |handle, numbers| {
            // SAFETY: the slide is open, and there is room for its pixels.
            unsafe {
                (handle.functions.read_associated_image)(handle.slide, key.as_ptr(), numbers);
            }
        });
        let bytes = pixels.map_err(problem)?;
        let bytes = bytes
            .into_iter()
            .flat_map(|pixel| on_white(pixel).0)
            .collect();
        RgbImage::from_raw(width as u32, height as u32, bytes)
            .ok_or_else(|| problem("its size is wrong".to_owned()))
    }
}

/// A pixel that was multiplied with its opacity, on white.
fn on_white(pixel: u32) -> image::Rgb<u8> {
    let [opacity, red, green, blue] = pixel.to_be_bytes();
    image::Rgb([red, green, blue].map(|value| value.saturating_add(255 - opacity)))
}
