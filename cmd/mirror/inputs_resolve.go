package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/mirror"
	"airmirror/sync/imagelist"
	"airmirror/sync/prefetch"
)

// resolve finds the images that only the mirror knows: selected tags, and the images of charts in registries. It returns
// the names of all images. What cannot be found out is recorded as unread.
func (in *inputs) resolve(cmd *cobra.Command, client *admin.Client, dryRun bool) ([]string, error) {
	ctx := cmd.Context()
	for _, selection := range in.selections {
		if err := in.selectTags(ctx, client, selection); err != nil {
			return nil, err
		}
	}
	for _, chart := range in.charts {
		in.images = append(in.images, chart.reference)
		list, err := fetchChart(ctx, client, chart, dryRun)
		if ctx.Err() != nil {
			return nil, &exitError{exitInterrupted, errors.New("interrupted while a chart was read")}
		}
		if err != nil {
			in.missing(chart.file, chart.reference, "the images of the chart are not known: "+err.Error())
			continue
		}
		in.add(chart.reference, list)
	}
	return in.images, nil
}

// selectTags adds the selected tags of a repository.
func (in *inputs) selectTags(ctx context.Context, client *admin.Client, selection inputSelection) error {
	var tags prefetch.TagList
	err := client.Call(ctx, "list-tags", prefetch.TagsRequest{Repository: selection.Repository}, nil, func(event admin.Event) error {
		if event.Kind != admin.KindSummary {
			return nil
		}
		return event.Decode(&tags)
	})
	switch {
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, errors.New("interrupted while tags were listed")}
	case mirror.CodeOf(err) == mirror.CodeUnknown && err != nil: // the mirror does not answer
		return err
	case err != nil:
		in.missing(selection.file, selection.Repository, err.Error())
		return nil
	}
	found := 0
	for _, tag := range tags.Tags {
		if selection.Matches(tag) {
			found++
			in.images = append(in.images, selection.Repository+":"+tag)
		}
	}
	switch {
	case tags.NotChecked != "":
		in.missing(selection.file, selection.Repository, "there may be more tags than the stored ones: "+tags.NotChecked)
	case found == 0:
		in.missing(selection.file, selection.Repository, "has no tag that is selected")
	}
	for i := range in.read {
		if in.read[i].File == displayName(selection.file) {
			in.read[i].Images += found
		}
	}
	return nil
}

// fetchChart fetches a chart as an image and reads its images. A dry run reads a stored chart.
func fetchChart(ctx context.Context, client *admin.Client, chart inputChart, dryRun bool) (*imagelist.List, error) {
	var failure string
	err := client.Job(ctx, "sync", prefetch.Request{Images: []string{chart.reference}, DryRun: dryRun}, nil, func(event admin.Event) error {
		if event.Kind != admin.KindImage {
			return nil
		}
		var result prefetch.Result
		err := event.Decode(&result)
		failure = result.Error
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case failure != "":
		return nil, errors.New(failure)
	}
	dir, err := os.MkdirTemp("", "mirror-chart-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "chart.tgz")
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	_, err = client.Stream(ctx, "chart", admin.ChartRequest{Reference: chart.reference}, nil, file)
	if dryRun && mirror.CodeOf(err) == mirror.CodeManifestUnknown {
		err = errors.New("it is not stored yet, and a dry run stores nothing")
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	return imagelist.ReadChart(ctx, path, chart.options)
}
