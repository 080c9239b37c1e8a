package imagelist

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const (
	chartYAML = `apiVersion: v2
name: app
version: 1.0.0
annotations:
  artifacthub.io/images: |
    - {name: app, image: "ghcr.io/org/app:1"}
    - name: side
      image: ghcr.io/org/side:2
`
	valuesYAML = "sidecar: {image: quay.io/org/sidecar:3}\nimage: {repository: ghcr.io/org/app, tag: 1}\n"
)

// chartFolder writes a chart into a folder.
func chartFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "app")
	mustDo(t, os.MkdirAll(dir, 0o755))
	mustDo(t, os.WriteFile(filepath.Join(dir, "Chart.yaml"), []byte(chartYAML), 0o644))
	mustDo(t, os.WriteFile(filepath.Join(dir, "values.yaml"), []byte(valuesYAML), 0o644))
	return dir
}

// chartArchive writes a .tgz file with the given files.
func chartArchive(t *testing.T, files map[string]string) string {
	t.Helper()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zip)
	for name, text := range files {
		mustDo(t, archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}))
		_, err := archive.Write([]byte(text))
		mustDo(t, err)
	}
	mustDo(t, archive.Close())
	mustDo(t, zip.Close())
	path := filepath.Join(t.TempDir(), "app-1.0.0.tgz")
	mustDo(t, os.WriteFile(path, packed.Bytes(), 0o644))
	return path
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// installHelm makes a shell script the only helm.
func installHelm(t *testing.T, script string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	dir := t.TempDir()
	if script != "" {
		mustDo(t, os.WriteFile(filepath.Join(dir, "helm"), []byte("#!/bin/sh\n"+script), 0o755))
	}
	t.Setenv("PATH", dir)
}

// TestChartWithoutHelm reads what the chart itself names, and says that there may be more.
func TestChartWithoutHelm(t *testing.T) {
	installHelm(t, "")
	for name, path := range map[string]string{
		"folder":  chartFolder(t),
		"archive": chartArchive(t, map[string]string{"app/Chart.yaml": chartYAML, "app/values.yaml": valuesYAML, "app/charts/x/values.yaml": "image: no:1"}),
	} {
		t.Run(name, func(t *testing.T) {
			list, err := ReadChart(context.Background(), path, ChartOptions{})
			mustDo(t, err)
			slices.Sort(list.Images)
			if want := []string{"ghcr.io/org/app:1", "ghcr.io/org/side:2", "quay.io/org/sidecar:3"}; !slices.Equal(list.Images, want) {
				t.Errorf("images %q, want %q", list.Images, want)
			}
			if list.Format() != helmChart || len(list.Unread) != 1 || !list.Unread[0].Missing || !strings.Contains(list.Unread[0].Reason, "install helm") {
				t.Errorf("read as %s, unread %v", list.Format(), list.Unread)
			}
		})
	}
}

func TestChartWithHelm(t *testing.T) {
	values := filepath.Join(t.TempDir(), "prod.yaml")
	mustDo(t, os.WriteFile(values, nil, 0o644))
	chart := chartFolder(t)
	installHelm(t, `echo "---"; echo "image: rendered:1"; echo "---"; for a in "$@"; do echo "- $a"; done; echo "a warning" >&2`)
	list, err := ReadChart(context.Background(), chart, ChartOptions{Values: []string{values}, KubeVersion: "1.33"})
	mustDo(t, err)
	want := []string{"rendered:1", "template", "mirror", chart, "--include-crds", "--values", values, "--kube-version"}
	if !slices.Equal(list.Images, want) || len(list.Unread) > 0 || list.Format() != helmChart {
		t.Errorf("read as %s: %q, want %q; unread %v", list.Format(), list.Images, want, list.Unread)
	}
}

func TestChartErrors(t *testing.T) {
	chart := chartFolder(t)
	for name, tt := range map[string]struct{ script, path, values, want string }{
		"helm fails":          {script: "echo 'WARNING: x' >&2; echo 'Error: missing in charts/ directory: db' >&2; exit 1", path: chart, want: "helm template: missing in charts/ directory: db"},
		"helm says nothing":   {script: "exit 3", path: chart, want: "exit status 3"},
		"too much":            {script: "while :; do echo 'a long line of text that helm rendered for ever and ever'; done", path: chart, want: "more than 16 MiB"},
		"not YAML":            {script: "echo 'a: ['", path: chart, want: "reading what helm rendered"},
		"no chart":            {path: filepath.Join(chart, "absent"), want: "no such file"},
		"no values":           {path: chart, values: "https://evil.example/values.yaml", want: "no such file"},
		"no Chart.yaml":       {path: t.TempDir(), want: "has no Chart.yaml"},
		"not an archive":      {path: filepath.Join(chart, "Chart.yaml"), want: "gzip"},
		"an invalid list":     {path: chartArchive(t, map[string]string{"a/Chart.yaml": "annotations: {artifacthub.io/images: 'a: ['}"}), want: "artifacthub.io/images"},
		"an invalid document": {path: chartArchive(t, map[string]string{"a/Chart.yaml": "["}), want: "Chart.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			installHelm(t, tt.script)
			opts := ChartOptions{}
			if tt.values != "" {
				opts.Values = []string{tt.values}
			}
			if _, err := ReadChart(context.Background(), tt.path, opts); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestIsChart(t *testing.T) {
	for path, want := range map[string]bool{
		chartFolder(t): true,
		chartArchive(t, map[string]string{"app/Chart.yaml": chartYAML}): true,
		chartArchive(t, map[string]string{"index.json": "{}"}):          false,
		t.TempDir(): false,
		"absent":    false,
	} {
		if got := IsChart(path); got != want {
			t.Errorf("%s: %t, want %t", path, got, want)
		}
	}
}

// FuzzChart reads any Chart.yaml and values.yaml.
func FuzzChart(f *testing.F) {
	f.Add([]byte(chartYAML), []byte(valuesYAML))
	f.Fuzz(func(t *testing.T, chart, values []byte) {
		list := &List{}
		_ = list.annotation(chart)
		_ = list.yaml(values, Options{})
		for _, name := range list.Images {
			if name == "" {
				t.Error("an image has no name")
			}
		}
	})
}
