package proxy

import (
	"context"
	"io"

	"airmirror/mirror"
)

// Spool reads the body of a manifest, up to what a manifest may have and one byte more, until it ends. An error of r is
// returned as it is.
func (m *Proxy) Spool(ctx context.Context, r io.Reader) (*mirror.Spool, error) {
	if err := m.room(mirror.MaxManifestSize); err != nil {
		return nil, err
	}
	in, err := m.store.Receive(ctx, "")
	if err != nil {
		return nil, err
	}
	return mirror.ReadSpool(in, r)
}
