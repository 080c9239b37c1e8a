package mirror

import (
	"encoding/json"
	"time"
)

// Want is an image or a blob that a client requested and could not get, or that was stored and is lost. It is kept until
// the content is available.
type Want struct {
	Ref      string    `json:"reference"`          // as [Ref.String] writes it
	Blob     bool      `json:"blob,omitempty"`     // the digest is that of a blob
	Lost     bool      `json:"lost,omitempty"`     // the content was stored before
	Platform string    `json:"platform,omitempty"` // os/arch of the digest, if the index of a tag names it
	Count    int       `json:"count"`              // number of requests
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Clients  []string  `json:"clients,omitempty"` // addresses, the last one first
	Reason   string    `json:"reason,omitempty"`  // why the last request failed
}

// UnmarshalJSON implements [json.Unmarshaler]. It also reads the records and files of earlier versions, where the reference
// is called ref.
func (w *Want) UnmarshalJSON(text []byte) error {
	type fields Want // without this method
	read := struct {
		*fields
		Old string `json:"ref"`
	}{fields: (*fields)(w)}
	if err := json.Unmarshal(text, &read); err != nil {
		return err
	}
	if w.Ref == "" {
		w.Ref = read.Old
	}
	return nil
}
