//go:build e2e

package e2e_test

import (
	"path/filepath"
	"testing"
)

// TestConformance runs the conformance suite of the distribution specification against the mirror: version 1.1, and the
// draft of the next one. Everything that the suite can check is on, except for images that are pushed without their
// blobs: the mirror refuses these, as the specification allows.
//
// https://github.com/opencontainers/distribution-spec/tree/main/conformance
func TestConformance(t *testing.T) {
	suite := today(t, false, "conformance") + "conformance"
	for _, version := range []string{"1.1", "dev"} {
		t.Run(version, func(t *testing.T) {
			mirror := startMirror(t, "--offline")
			run(t, environment(t,
				"OCI_VERSION="+version,
				"OCI_REGISTRY="+mirror.addr,
				"OCI_TLS=disabled",
				"OCI_RESULTS_DIR="+filepath.Join(tempDir(t), "results"),
				"OCI_API_BLOBS_DIGEST_HEADER=true",
				"OCI_API_BLOBS_UPLOAD_CANCEL=true",
				"OCI_API_MANIFESTS_DIGEST_HEADER=true",
				"OCI_API_MANIFESTS_TAG_PARAM=true",
			), suite)
		})
	}
}
