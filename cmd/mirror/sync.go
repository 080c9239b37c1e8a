package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/mirror"
	"airmirror/sync/prefetch"
)

// syncConfig are the flags of `mirror sync`.
type syncConfig struct {
	prefetch.Request
	inputs
	wants      []string
	allowStale bool
	bundle     bundleConfig
	migrate    admin.MigrateRequest
}

func newSyncCommand() *cobra.Command {
	q, c := &adminCommand{create: true}, syncConfig{}
	cmd := q.command(&cobra.Command{
		Use:   "sync [IMAGE]...",
		Short: "Import bundles, fetch images, or migrate a registry",
		Long: `Store content in advance, so that clients can pull it without an upstream: fetch images, import
bundles, or migrate another registry.

Images are fetched completely from their upstream. They are named as for docker pull, such as
alpine:3 or ghcr.io/org/app@sha256:…. The default tag is latest, unless --tags or --all-tags selects
tags. An image that is named by digest is kept until it is removed by digest; app:1@sha256:… also
sets the tag. A file of wants is the output of 'mirror wants --json'.

A file of images is recognized by its content: a list with one name per line and # before comments,
Kubernetes YAML, the output of kustomize, a Helm chart (folder, .tgz or oci://), a docker compose
file, the image lists of k3s and RKE2, a hauler manifest, a zarf.yaml, an ImageSetConfiguration of
oc-mirror, or a file of regsync or skopeo sync. What it was read as is printed, and so is each part
that was not read. Charts are rendered by an installed helm. Image IDs in a file are skipped.

Bundles are imported from files, folders or standard input (-): bundles of 'mirror export', OCI image
layouts, and archives of docker save, podman save, crane, cosign, zarf and hauler, compressed or not.
Tags move when the whole bundle is imported. The volumes of a bundle can be imported one at a time,
in order. A folder stands for all archives in it and below; other files in it are listed. An image
with an unusable name is skipped and listed.

A registry is migrated from its storage folder, if it is a distribution registry ("registry:2",
docker-registry), or by its API. Repositories keep their names and become local: they are not fetched
from an upstream. Symbolic links in the folder are followed. Tags that differ between two names of
one image (nginx, library/nginx) are skipped.

Stored content is not transferred again, so that an interrupted sync can be continued by the same
command. If a server runs on the data folder, it does the work; Ctrl-C interrupts it.

If a stored tag cannot be checked upstream, for example because the mirror is offline, the stored
copy is kept and listed as not checked.

Exit codes: 0 everything is complete, 2 invalid flags or files, 6 something is missing, was not
checked, was not read from a file, or was not moved as it was pushed here, 7 a bundle or a part of
it was refused, 130 interrupted; others as for serve.`,
		Example: `  mirror sync alpine:3 ghcr.io/org/app:v1
  mirror sync --file images.txt --platform linux/amd64
  mirror sync --tags 'v1.*' --tags '>=2.1 <3' registry.k8s.io/pause
  kubectl get pods -A -o yaml | mirror sync --file -
  mirror sync --file compose.yaml --file k3s-images.txt
  mirror sync --file ./chart --values prod.yaml --kube-version 1.33
  mirror sync --file oci://ghcr.io/org/charts/app:1.2.3
  mirror sync --bundle plant.tar --verify mirror.pub --receipt receipt.json
  mirror sync --bundle /media/usb
  docker save app | mirror sync --bundle - --tag team/app:1
  mirror sync --registry-root /var/lib/registry
  mirror sync --from old-registry.example:5000 --repo 'team/*'`,
	}, func(cmd *cobra.Command, client *admin.Client, _ []string) error {
		return c.bundle.withReceipt(cmd, client, c.run(cmd, client, q.json))
	})
	f := cmd.Flags()
	c.inputs.flags(f, "fetch")
	f.StringSliceVar(&c.wants, "wants", nil, "fetch the images in this `file` of wants; repeatable")
	f.StringSliceVar(&c.Platforms, "platform", nil, "fetch only these platforms, `os/arch[/variant]`; repeatable (default all)")
	f.BoolVar(&c.AllTags, "all-tags", false, "fetch all tags of the images")
	f.StringArrayVar(&c.Tags, "tags", nil, "fetch the tags that match this `pattern`, such as v1.*, or a version range, such as '>=1.2 <2' or ~1.4; repeatable")
	f.BoolVar(&c.Referrers, "referrers", false, "also fetch signatures, SBOMs and other referrers")
	addDetachFlag(f)
	f.BoolVar(&c.allowStale, "allow-stale", false, "exit with 0 even if tags or referrers could not be checked upstream")
	f.IntVar(&c.Parallel, "parallel", 4, "transfer this many blobs at a time")
	f.StringSliceVar(&c.bundle.bundles, "bundle", nil, "import this `file` or folder; - is standard input; repeatable")
	c.bundle.flags(f)
	f.StringVar(&c.migrate.Root, "registry-root", "", "migrate the distribution registry with this storage `folder`; blobs are linked if the file system allows it")
	f.StringVar(&c.migrate.URL, "from", "", "migrate the registry at this `[http://]host` by its API")
	f.StringSliceVar(&c.migrate.Repos, "repo", nil, "migrate only repositories that match this `pattern`; repeatable")
	c.bundle.commonFlags(f)
	cmd.ValidArgsFunction = q.complete(0, func(ctx context.Context, client *admin.Client, add func(string)) error {
		return errors.Join(listUpstreams(ctx, client, add), listImages(ctx, client, add))
	})
	completeFlags(cmd, map[string]cobra.CompletionFunc{"platform": q.complete(0, listPlatforms)})
	fromEnv := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if err := fromEnv(cmd, args); err != nil {
			return err
		}
		if cmd.Flags().Changed("parallel") && c.Parallel < 1 {
			return &exitError{exitUsage, fmt.Errorf("--parallel %d: want 1 or more", c.Parallel)}
		}
		if err := c.check(cmd, args); err != nil {
			return err
		}
		if len(c.bundle.bundles) > 0 || migrates(c.migrate) || c.bundle.receipt != "" && len(args)+len(c.files)+len(c.wants) == 0 {
			return nil
		}
		return c.read(cmd.Context(), args, cmd.InOrStdin())
	}
	return cmd
}

// run runs the job that the flags ask for.
func (c *syncConfig) run(cmd *cobra.Command, client *admin.Client, asJSON bool) error {
	switch {
	case len(c.bundle.bundles) > 0:
		return (&imports{bundleConfig: c.bundle, cmd: cmd, client: client, json: asJSON, detach: isDetached(cmd)}).run()
	case migrates(c.migrate):
		return runMigrate(cmd, client, c.migrate, asJSON)
	case len(c.Images)+len(c.Wants) > 0 || !c.inputs.none():
		return c.fetch(cmd, client, asJSON)
	case len(c.wants) > 0:
		return nothingWanted(cmd, c.wants)
	}
	return nil // only a receipt was requested
}

// check returns an error for flags that cannot be combined.
func (c *syncConfig) check(cmd *cobra.Command, args []string) error {
	named := len(args)+len(c.files)+len(c.wants) > 0
	bundles, moves := len(c.bundle.bundles) > 0, migrates(c.migrate)
	for flag, fits := range map[string]bool{
		"tag": bundles, "skip-bad-names": bundles, "allow-older": bundles, "any-destination": bundles, "verify": bundles, "overwrite-tags": bundles || moves, "repo": moves,
	} {
		if cmd.Flags().Changed(flag) && !fits {
			return &exitError{exitUsage, fmt.Errorf("--%s does not apply to fetching images: see 'mirror sync --help'", flag)}
		}
	}
	if moves && c.bundle.DryRun {
		return &exitError{exitUsage, errors.New("--dry-run does not apply to migrating a registry")}
	}
	c.DryRun = c.bundle.DryRun
	for _, flag := range []string{"platform", "all-tags", "tags", "referrers", "allow-stale"} {
		if cmd.Flags().Changed(flag) && (bundles || moves) {
			return &exitError{exitUsage, fmt.Errorf("--%s only applies to fetching images: bundles and registries are imported completely", flag)}
		}
	}
	if err := c.bundle.checkDetach(cmd, bundles); err != nil {
		return err
	}
	if err := c.bundle.checkReceipt(); err != nil {
		return err
	}
	if bundles && moves || named && (bundles || moves) {
		return &exitError{exitUsage, errors.New("bundles, registries and images need a sync each")}
	}
	c.migrate.Overwrite, c.migrate.Parallel = c.bundle.Overwrite, c.Parallel
	switch {
	case bundles:
		return c.bundle.read()
	case moves:
		return readMigrate(&c.migrate)
	}
	return nil
}

// read reads the names of images, before the data folder is opened or created.
func (c *syncConfig) read(ctx context.Context, args []string, stdin io.Reader) error {
	c.Images = append([]string{}, args...)
	if err := c.Check(); err != nil { // invalid names in files are reported like missing images
		return &exitError{exitUsage, err}
	}
	for _, name := range c.wants {
		if err := readFile(name, stdin, func(r io.Reader) error {
			wants, err := readWants(r)
			c.Wants = append(c.Wants, wants...)
			return err
		}); err != nil {
			return err
		}
	}
	if len(c.files)+len(c.Images)+len(c.wants) == 0 {
		return &exitError{exitUsage, errors.New("nothing to fetch: want names of images, or a file of them with --file or --wants; see 'mirror sync --help'")}
	}
	err := c.load(ctx, stdin, len(c.Images)+len(c.wants) > 0)
	c.Skipped = c.ids
	return err
}

// readWants reads a file of wants: one or more JSON lists.
func readWants(r io.Reader) (all []mirror.Want, err error) {
	lists := 0
	for decoder := json.NewDecoder(mirror.TextReader(r)); ; lists++ {
		var wants []mirror.Want
		switch err := decoder.Decode(&wants); {
		case err == io.EOF && lists > 0:
			return all, nil
		case err == io.EOF:
			return nil, errors.New("the file is empty: without wants, 'mirror wants --json' prints an empty list")
		case err != nil:
			return all, err
		}
		all = append(all, wants...)
	}
}

// readFile calls read with a file, or with standard input if name is "-".
func readFile(name string, stdin io.Reader, read func(io.Reader) error) error {
	r := stdin
	if name != "-" {
		file, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("the file %s does not exist", name)
		}
		if err != nil {
			return &exitError{exitUsage, err}
		}
		defer file.Close()
		r = file
	}
	if err := read(r); err != nil {
		return &exitError{exitUsage, fmt.Errorf("read %s: %w", name, err)}
	}
	return nil
}

// nothingWanted prints that a file of wants is empty, which is not an error.
func nothingWanted(cmd *cobra.Command, files []string) error {
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "nothing to do: no wants in %s\n", strings.Join(files, ", "))
	return err
}

// fetch fetches the named images.
func (c *syncConfig) fetch(cmd *cobra.Command, client *admin.Client, asJSON bool) error {
	found, err := c.resolve(cmd, client, c.DryRun)
	if err != nil {
		return err
	}
	c.Images = append(c.Images, found...)
	if err := c.show(cmd, cmd.OutOrStdout(), asJSON); err != nil {
		return err
	}
	if isDetached(cmd) {
		return startDetached(cmd, client, "sync", c.Request, asJSON)
	}
	return c.showFetch(cmd, asJSON, func(show eventHandler) error { return client.Job(cmd.Context(), "sync", c.Request, nil, show) })
}

// showFetch shows the fetching of images, and returns an error if some are missing or were not checked.
func (c *syncConfig) showFetch(cmd *cobra.Command, asJSON bool, run func(eventHandler) error) error {
	view := newImagesView(newJobView(cmd, asJSON), c.DryRun)
	err := run(view.event)
	view.end()
	if err := view.completed(cmd.Context(), err); err != nil {
		return err
	}
	return c.undone(&view.result)
}

// offlineReason is the end of the reason why an image is missing while nothing is fetched.
const offlineReason = "the mirror is offline"

// undone returns the error for images that are missing or were not checked.
func (c *syncConfig) undone(s *prefetch.Summary) error {
	var parts []string
	if s.Failed > 0 {
		text := "%d of %s could not be fetched completely; run the same command to continue"
		switch {
		case c.DryRun:
			text = "%d of %s cannot be fetched completely"
		case slices.ContainsFunc(s.Failures, func(failure string) bool { return strings.HasSuffix(failure, offlineReason) }):
			text = "%d of %s could not be fetched completely, as " + offlineReason + ": import a bundle, or run 'mirror mode online' first, unless the mirror was started with --offline"
		}
		parts = append(parts, fmt.Sprintf(text, s.Failed, count(s.Images, "image", "images")))
	}
	if s.NotChecked > 0 && !c.allowStale {
		parts = append(parts, fmt.Sprintf("%d of %s could not be checked upstream, and may be outdated or lack referrers; use --allow-stale to accept the stored copies",
			s.NotChecked, count(s.Images, "image", "images")))
	}
	if text := c.inputs.undone(); text != "" {
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return nil
	}
	return &exitError{exitMissing, errors.New(strings.Join(parts, "; "))}
}
