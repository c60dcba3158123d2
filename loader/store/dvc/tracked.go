package dvc

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/segue-serving/segue/loader/store"
)

// output is one entry of outs in a .dvc file or a dvc.lock.
type output struct {
	Path string `yaml:"path"`
	Hash string `yaml:"hash"`
	MD5  string `yaml:"md5"`
	Size *int64 `yaml:"size"`
	// Remote is the name of a remote of its own.
	Remote string `yaml:"remote"`
}

// folderMark ends the hash of a folder: the hash is that of its list of files.
const folderMark = ".dir"

func (o output) isFolder() bool { return strings.HasSuffix(o.MD5, folderMark) }

func (o output) size() int64 {
	if o.Size == nil {
		return -1
	}
	return *o.Size
}

// errNotTracked is of the kind fs.ErrNotExist: a branch may have it later.
var errNotTracked = fmt.Errorf("DVC tracks no such path at this revision (%w)", fs.ErrNotExist)

var md5Form = regexp.MustCompile(`^[0-9a-f]{32}(\.dir)?$`)

// check refuses outputs whose files do not lie under their MD5.
func (o output) check() error {
	switch {
	case o.Hash != "md5":
		return store.Permanent(fmt.Errorf("%s is tracked by a DVC before version 3, or by another hash than md5: run dvc cache migrate and commit it again", o.Path))
	case !md5Form.MatchString(o.MD5):
		return store.Permanent(fmt.Errorf("%s has no hash: run dvc commit or dvc repro, and commit what they write", o.Path))
	}
	return nil
}

// find returns the output that a path is or lies in, and the path below it,
// empty for the output itself.
func (c *commit) find(at string) (out output, below string, err error) {
	for tracked := at; tracked != "."; tracked = path.Dir(tracked) {
		out, err = c.output(tracked)
		if err == nil && tracked != at {
			below = at[len(tracked)+1:]
			if !out.isFolder() {
				return output{}, "", errNotTracked
			}
		}
		if !errors.Is(err, errNotTracked) {
			return out, below, err
		}
	}
	return output{}, "", errNotTracked
}

// output returns the output of a path, as a .dvc file beside it or the dvc.lock
// of a folder above says.
func (c *commit) output(at string) (output, error) {
	text, err := c.read(at + ".dvc")
	if err == nil {
		var file struct {
			Outs []output `yaml:"outs"`
			Wdir string   `yaml:"wdir"`
		}
		if err := decode(at+".dvc", text, &file); err != nil {
			return output{}, err
		}
		return pick(file.Outs, path.Join(path.Dir(at), file.Wdir), at)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return output{}, err
	}
	for dir := path.Dir(at); ; dir = path.Dir(dir) {
		out, err := c.stage(dir, at)
		if !errors.Is(err, errNotTracked) || dir == "." {
			return out, err
		}
	}
}

// stage looks for a path among the outputs of the pipeline of a folder.
func (c *commit) stage(dir, at string) (output, error) {
	name := path.Join(dir, "dvc.lock")
	text, err := c.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return output{}, errNotTracked
	}
	if err != nil {
		return output{}, err
	}
	var lock struct {
		Stages map[string]struct {
			Outs []output `yaml:"outs"`
		} `yaml:"stages"`
	}
	if err := decode(name, text, &lock); err != nil {
		return output{}, err
	}
	var pipeline struct {
		Stages map[string]struct {
			Wdir string `yaml:"wdir"`
		} `yaml:"stages"`
	}
	name = path.Join(dir, "dvc.yaml")
	if text, err = c.read(name); err == nil {
		err = decode(name, text, &pipeline)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return output{}, err
	}
	for stage, made := range lock.Stages {
		// A stage of a list is called NAME@ITEM in the lock.
		if i := strings.LastIndexByte(stage, '@'); i >= 0 && pipeline.Stages[stage].Wdir == "" {
			stage = stage[:i]
		}
		out, err := pick(made.Outs, path.Join(dir, pipeline.Stages[stage].Wdir), at)
		if !errors.Is(err, errNotTracked) {
			return out, err
		}
	}
	return output{}, errNotTracked
}

// pick chooses the output of a path; outputs are relative to a folder.
func pick(outs []output, dir, at string) (output, error) {
	for _, out := range outs {
		if path.Join(dir, out.Path) == at {
			return out, out.check()
		}
	}
	return output{}, errNotTracked
}

// decode reads YAML of others: fields that it does not know are theirs.
func decode(name string, text []byte, into any) error {
	if err := yaml.Unmarshal(text, into); err != nil {
		return store.Permanent(fmt.Errorf("%s is damaged: %s", name, firstLine(err.Error())))
	}
	return nil
}

func firstLine(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	return text
}
