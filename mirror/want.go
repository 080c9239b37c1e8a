package mirror

import "time"

// Want is something that a client asked for and that could not be given, for as long as it cannot; or that was held and
// was found to be lost.
type Want struct {
	Ref      string    `json:"ref"`                // as [Ref.String] writes it
	Blob     bool      `json:"blob,omitempty"`     // the digest is a blob's, not a manifest's
	Platform string    `json:"platform,omitempty"` // os/arch, if the index under a tag says what the digest is for
	Count    int       `json:"count"`              // how often clients asked
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Clients  []string  `json:"clients,omitempty"` // addresses, the latest first
	Reason   string    `json:"reason,omitempty"`  // why it could not be given the last time
}
