package mirror

// PinNotes is the kind of notes that are pins: the key is what [Ref.String] writes. A pinned tag keeps what it points at,
// now and later; the collector never touches either.
const PinNotes = "pin"
