package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"airmirror/api/admin"
	"airmirror/sync/imagelist"
	"airmirror/sync/prefetch"
)

// inputs are the files that name images: the flag --file of sync and export, and what the files name.
type inputs struct {
	files []string
	chart imagelist.ChartOptions

	hasChart   bool // a file is a chart, or names one
	images     []string
	ids        int // image IDs, which are skipped
	selections []inputSelection
	charts     []inputChart
	read       []fileRead
	unread     []unreadPart
}

// inputSelection selects tags of a repository that a file names.
type inputSelection struct {
	imagelist.Selection
	file string
}

// inputChart is a chart in a registry. It is fetched through the mirror before it is read.
type inputChart struct {
	reference string
	options   imagelist.ChartOptions
	file      string // that names the chart; empty for one in a flag
}

// fileRead is a file that was read.
type fileRead struct {
	File   string `json:"file"`
	Format string `json:"format"`
	Images int    `json:"images"`
}

// unreadPart is a part of a file that was not read. With missing, it names images that are missing for this reason.
type unreadPart struct {
	admin.Notice
	Missing bool `json:"missing"`
}

func (in *inputs) flags(f *pflag.FlagSet, verb string) {
	f.StringSliceVar(&in.files, "file", nil, verb+" the images in this `file`: a list, YAML, a Helm chart (folder, .tgz or oci://), …; repeatable")
	f.StringSliceVar(&in.chart.Values, "values", nil, "render charts with the values in this `file`; repeatable")
	f.StringVar(&in.chart.KubeVersion, "kube-version", "", "render charts for this `version` of Kubernetes")
}

// none reports whether the files name no images.
func (in *inputs) none() bool {
	return len(in.images)+len(in.selections)+len(in.charts) == 0
}

// load reads the files, before a data folder is opened or created. Files without any image are an error, unless other images
// are named.
func (in *inputs) load(ctx context.Context, stdin io.Reader, others bool) error {
	for _, values := range in.chart.Values {
		if _, err := os.Stat(values); err != nil {
			return &exitError{exitUsage, err}
		}
	}
	for _, file := range in.files {
		if err := in.file(ctx, file, stdin); err != nil {
			return &exitError{exitUsage, err}
		}
	}
	if (len(in.chart.Values) > 0 || in.chart.KubeVersion != "") && !in.hasChart {
		return &exitError{exitUsage, errors.New("--values and --kube-version apply to Helm charts, and no --file is one or names one")}
	}
	if len(in.files) > 0 && in.none() && !others {
		return &exitError{exitUsage, in.errNone()}
	}
	return nil
}

// errNone returns the error for files that name no images.
func (in *inputs) errNone() error {
	text := fmt.Sprintf("nothing to fetch: %s names no image", strings.Join(in.files, ", "))
	if in.ids > 0 {
		text += ", only " + count(in.ids, "image ID", "image IDs")
	}
	for _, part := range in.unread {
		text += fmt.Sprintf("\n  %s: %s", part.Name, part.Reason)
	}
	return errors.New(text)
}

// file reads one file, recognized by its content.
func (in *inputs) file(ctx context.Context, file string, stdin io.Reader) error {
	switch scheme, _, _ := strings.Cut(file, "://"); scheme {
	case file:
	case "oci":
		in.hasChart = true
		in.charts = append(in.charts, inputChart{reference: file, options: in.chart})
		return nil
	default:
		return fmt.Errorf("%s: files are not downloaded: only configured registries are asked; download it first, a chart with 'helm pull', and give the file", file)
	}
	if file == "-" {
		return in.parse(ctx, file, stdin)
	}
	opened, err := os.Open(file)
	if err != nil {
		return err
	}
	defer opened.Close()
	info, err := opened.Stat()
	switch {
	case err != nil:
		return err
	case info.IsDir() && !imagelist.IsChart(file):
		return fmt.Errorf("%s is a folder without a Chart.yaml: give a file in it, or its kustomization with: kustomize build %s | mirror sync --file -", file, file)
	case info.IsDir() || info.Mode().IsRegular() && imagelist.IsChart(file): // a pipe can be read only once
		in.hasChart = true
		list, err := imagelist.ReadChart(ctx, file, in.chart)
		if err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		in.add(file, list)
		return nil
	}
	return in.parse(ctx, file, opened)
}

// archiveMagic are the beginnings of compressed files.
var archiveMagic = [][]byte{{0x1f, 0x8b}, {0x28, 0xb5, 0x2f, 0xfd}, {0xfd, '7', 'z', 'X', 'Z'}, []byte("BZh")}

// isArchive reports whether a file that begins like this is a compressed file or a tar archive.
func isArchive(start []byte) bool {
	const magicOffset = 257 // of "ustar" in the header of a tar
	return slices.ContainsFunc(archiveMagic, func(magic []byte) bool { return bytes.HasPrefix(start, magic) }) ||
		len(start) > magicOffset && bytes.HasPrefix(start[magicOffset:], []byte("ustar"))
}

// parse reads a text.
func (in *inputs) parse(ctx context.Context, file string, r io.Reader) error {
	start := make([]byte, 512)
	n, err := io.ReadFull(r, start)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if isArchive(start[:n]) {
		return fmt.Errorf("%s is an archive, not a list of images: if it contains images, import it with: mirror import %s", file, file)
	}
	lookup, err := variables(file)
	if err != nil {
		return err
	}
	list, err := imagelist.Parse(io.MultiReader(bytes.NewReader(start[:n]), r), imagelist.Options{Variable: lookup})
	if list != nil {
		in.add(file, list)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	for _, chart := range list.Charts {
		in.hasChart = true
		in.localChart(ctx, file, chart)
	}
	return nil
}

// variables returns the variables for a docker compose file: the environment, and the file .env beside it.
func variables(file string) (func(string) (string, bool), error) {
	env, err := os.Open(filepath.Join(folderOf(file), ".env"))
	if err != nil {
		return os.LookupEnv, nil // most files have none
	}
	defer env.Close()
	lookup, err := imagelist.ParseEnv(env, os.LookupEnv)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", env.Name(), err)
	}
	return lookup, nil
}

// folderOf returns the folder of a file, or the current one for standard input.
func folderOf(file string) string {
	if file == "-" {
		return "."
	}
	return filepath.Dir(file)
}

// localChart reads a chart that a file names. One in a registry is read later.
func (in *inputs) localChart(ctx context.Context, file string, chart imagelist.Chart) {
	options := imagelist.ChartOptions{KubeVersion: in.chart.KubeVersion}
	for _, values := range chart.Values {
		options.Values = append(options.Values, filepath.Join(folderOf(file), values))
	}
	options.Values = append(options.Values, in.chart.Values...)
	if strings.HasPrefix(chart.Source, "oci://") {
		in.charts = append(in.charts, inputChart{chart.Source, options, file})
		return
	}
	path := chart.Source
	if !filepath.IsAbs(path) {
		path = filepath.Join(folderOf(file), path)
	}
	list, err := imagelist.ReadChart(ctx, path, options)
	if err != nil {
		in.missing(file, "chart "+chart.Source, err.Error())
		return
	}
	in.add(path, list)
}

// add adds what a file names.
func (in *inputs) add(file string, list *imagelist.List) {
	names, ids := prefetch.WithoutIDs(list.Images)
	in.images, in.ids = append(in.images, names...), in.ids+ids
	in.read = append(in.read, fileRead{displayName(file), list.Format(), len(names)})
	for _, selection := range list.Selections {
		in.selections = append(in.selections, inputSelection{selection, file})
	}
	for _, part := range list.Unread {
		in.unread = append(in.unread, unreadPart{admin.Notice{Name: displayName(file) + ": " + part.Part, Reason: part.Reason}, part.Missing})
	}
}

// missing adds a part of a file whose images are missing.
func (in *inputs) missing(file, part, reason string) {
	if file != "" {
		part = displayName(file) + ": " + part
	}
	in.unread = append(in.unread, unreadPart{admin.Notice{Name: part, Reason: reason}, true})
}

// displayName returns the name of a file for people.
func displayName(file string) string {
	if file == "-" {
		return "standard input"
	}
	return file
}
