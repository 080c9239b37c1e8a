package service

import (
	"context"
	"encoding/json"
	"io"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// chartLayer is the beginning of the media type of a packed chart: https://helm.sh/docs/topics/registries/
const chartLayer = "application/vnd.cncf.helm.chart.content."

// chart writes a stored Helm chart to out, as a .tgz file.
func (s *Service) chart(ctx context.Context, req admin.ChartRequest, _ io.Reader, out io.Writer) error {
	ctx = mirror.WithoutUsage(ctx)
	ref, err := s.findRef(ctx, req.Reference)
	if err != nil {
		return err
	}
	if ref.Digest == "" {
		tag, err := s.store.Tag(ctx, ref.Repo, ref.Tag)
		if err != nil {
			return err
		}
		ref.Digest = tag.Digest
	}
	stored, err := s.store.Manifest(ctx, ref.Repo, ref.Digest)
	if err != nil {
		return err
	}
	var manifest v1.Manifest
	if err := json.Unmarshal(stored.Bytes, &manifest); err != nil {
		return mirror.Errorf(mirror.CodeManifestInvalid, "%s: %w", ref, err)
	}
	for _, layer := range manifest.Layers {
		if strings.HasPrefix(layer.MediaType, chartLayer) {
			return s.copyBlob(ctx, ref.Repo, layer, out)
		}
	}
	return mirror.Errorf(mirror.CodeUnsupported, "%s is not a Helm chart", ref)
}

// copyBlob writes a stored blob to out, after its bytes were verified.
func (s *Service) copyBlob(ctx context.Context, repo mirror.Repo, d v1.Descriptor, out io.Writer) error {
	blob, err := s.store.Blob(ctx, repo, d.Digest)
	if err != nil {
		return err
	}
	defer blob.Close()
	if blob.Verify != nil {
		if err := blob.Verify(ctx); err != nil {
			return err
		}
	}
	_, err = io.Copy(out, blob)
	return err
}
