package imagelist

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ChartOptions say how a chart is rendered. The zero value is valid.
type ChartOptions struct {
	// Values are files of values. Later ones win.
	Values []string
	// KubeVersion is the version of Kubernetes that the chart is rendered for; empty for the default of helm.
	KubeVersion string
}

// helmChart is the format of charts.
const helmChart = "a Helm chart"

// ReadChart reads the chart in a folder, or in a .tgz file. An installed helm renders it, with its hooks and custom
// resources, and the images of the result are read. Without helm, the images are read that the values and the annotation
// artifacthub.io/images of the chart name, and List.Unread says so.
func ReadChart(ctx context.Context, path string, opts ChartOptions) (*List, error) {
	for _, file := range append([]string{path}, opts.Values...) {
		if _, err := os.Stat(file); err != nil {
			return nil, err
		}
	}
	helm, err := exec.LookPath("helm")
	if err != nil {
		return readWithoutHelm(path)
	}
	text, err := render(ctx, helm, path, opts)
	if err != nil {
		return nil, err
	}
	list := &List{}
	if err := list.yaml(text, Options{}); err != nil {
		return nil, fmt.Errorf("reading what helm rendered: %w", err)
	}
	list.Formats = []string{helmChart}
	return list, nil
}

// render returns what helm renders. Paths are absolute, so that helm reads none as an option, the address of a registry or
// the name of a repository.
func render(ctx context.Context, helm, path string, opts ChartOptions) ([]byte, error) {
	chart, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	args := []string{"template", "mirror", chart, "--include-crds"}
	for _, file := range opts.Values {
		values, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		if strings.Contains(values, ",") {
			return nil, fmt.Errorf("helm cannot read %s: its name has a comma", file)
		}
		args = append(args, "--values", values)
	}
	if opts.KubeVersion != "" {
		args = append(args, "--kube-version", opts.KubeVersion)
	}
	cmd := exec.CommandContext(ctx, helm, args...)
	out, stderr := &limited{max: maxFile}, &limited{max: 64 << 10, cut: true}
	cmd.Stdout, cmd.Stderr = out, stderr
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case out.full:
		return nil, fmt.Errorf("helm rendered more than %d MiB", maxFile>>20)
	case err != nil:
		return nil, fmt.Errorf("helm template: %s", helmError(stderr.text.String(), err))
	}
	return out.text.Bytes(), nil
}

// helmError returns the message of helm in one line.
func helmError(text string, err error) string {
	if i := strings.LastIndex(text, "Error: "); i >= 0 {
		text = text[i+len("Error: "):]
	}
	text, _, _ = strings.Cut(text, "\n\nUse --debug")
	return cmp.Or(strings.Join(strings.Fields(text), " "), err.Error())
}

// limited is a buffer with a maximal size. It refuses what does not fit, or discards it if cut is set.
type limited struct {
	text bytes.Buffer // not embedded: its ReadFrom has no limit
	max  int
	cut  bool
	full bool
}

// Write implements [io.Writer].
func (l *limited) Write(p []byte) (int, error) {
	if l.text.Len()+len(p) <= l.max {
		return l.text.Write(p)
	}
	l.full = true
	if l.cut {
		return len(p), nil
	}
	return 0, io.ErrShortWrite
}

// readWithoutHelm reads the images that a chart names itself.
func readWithoutHelm(path string) (*List, error) {
	list := &List{Formats: []string{helmChart}}
	found := false
	err := chartFiles(path, func(name string, r io.Reader) error {
		text, err := readAll(r)
		if err != nil {
			return err
		}
		if name == "values.yaml" {
			values := &List{}
			err := values.yaml(text, Options{})
			list.Append(values)
			return err
		}
		found = true
		return list.annotation(text)
	})
	if err == nil && !found {
		err = errors.New("the chart has no Chart.yaml")
	}
	list.missing("templates", "helm is not installed, so only the images in its values.yaml and in its annotation artifacthub.io/images are read: install helm")
	return list, err
}

// annotation adds the images in the annotation artifacthub.io/images of a Chart.yaml:
// https://artifacthub.io/docs/topics/annotations/helm/
func (l *List) annotation(text []byte) error {
	var chart struct{ Annotations map[string]string }
	if err := yaml.Unmarshal(text, &chart); err != nil {
		return fmt.Errorf("read Chart.yaml: %w", err)
	}
	var images []struct{ Image string }
	if err := yaml.Unmarshal([]byte(chart.Annotations["artifacthub.io/images"]), &images); err != nil {
		return fmt.Errorf("annotation artifacthub.io/images: %w", err)
	}
	for _, image := range images {
		l.add(image.Image)
	}
	return nil
}
