package mirror

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// PinState is the kind of notes that are pins: the key is what [Ref.String] writes. A pinned tag keeps what it points at,
// now and later; the collector never touches either.
const PinState = "pin"

// Pin is a promise that the collector never touches a reference.
type Pin struct {
	Ref    string        `json:"ref"`              // as [Ref.String] writes it
	Digest digest.Digest `json:"digest,omitempty"` // what it means now; "" if nothing by that name is held
	Since  time.Time     `json:"since,omitzero"`
}
