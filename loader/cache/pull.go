package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
)

// pull brings one file, from where it stopped the last time, and describes
// what came. A file without a hash to hold it against is read in one piece: two
// pieces of different times could be a file that never was.
func (d *download) pull(ctx context.Context, s *staging, want artifact.File) (artifact.File, error) {
	file, err := s.open(want.Path)
	if err != nil {
		return artifact.File{}, err
	}
	p := &pulling{download: d, file: file, want: want, hash: sha256.New()}
	got, err := p.run(ctx)
	if err == nil {
		err = plain(file.Sync())
	}
	if closeErr := file.Close(); err == nil {
		err = plain(closeErr)
	}
	return got, err
}

// pulling is a file on its way. What have counts is in the file and the hash.
type pulling struct {
	*download
	file *os.File
	want artifact.File
	hash hash.Hash
	have int64
	// head is how the file begins.
	head []byte
}

func (p *pulling) run(ctx context.Context) (artifact.File, error) {
	if err := p.resume(ctx); err != nil {
		return artifact.File{}, err
	}
	resumed := p.have
	if p.have != p.want.Size || p.want.SHA256 == "" {
		if err := p.transfer(); err != nil {
			return artifact.File{}, err
		}
	}
	got := artifact.File{Path: p.want.Path, Size: p.have, SHA256: hex.EncodeToString(p.hash.Sum(nil))}
	if p.want.SHA256 == "" || got.SHA256 == p.want.SHA256 {
		return got, nil
	}
	if err := p.file.Truncate(0); err != nil {
		return got, plain(err)
	}
	err := fmt.Errorf("SHA-256 is %s, the manifest says %s", got.SHA256, p.want.SHA256)
	switch {
	case isPage(p.head):
		err = errPage(p.want.Path)
	case resumed > 0:
		return got, transferError{err} // what was there before may be what is wrong
	}
	return got, store.Later(err, tooOften)
}

// resume counts what is there already.
func (p *pulling) resume(ctx context.Context) error {
	info, err := p.file.Stat()
	if err != nil {
		return plain(err)
	}
	if info.Size() > p.want.Size || p.want.SHA256 == "" {
		return plain(p.file.Truncate(0))
	}
	if err := copyUntil(ctx, p.hash, p.file); err != nil {
		return plain(err)
	}
	p.moved(info.Size())
	return nil
}

func (p *pulling) moved(n int64) {
	p.have += n
	p.done += n
	if p.progress != nil {
		p.progress(p.done, p.total)
	}
}

// transfer brings the rest of the file.
func (p *pulling) transfer() error {
	var body store.Body
	err := p.ask(func() (err error) {
		body, err = p.origin.Read(p.watch.ctx, p.want.Path, p.have)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the store lists it and does not have it: %w", err)
	}
	if err != nil {
		return err
	}
	defer body.Close()
	if body.Offset < 0 || body.Offset > p.have {
		return fmt.Errorf("the store begins at byte %d, and was asked for byte %d", body.Offset, p.have)
	}
	if p.want.Size >= 0 && body.Size >= 0 && body.Size != p.want.Size {
		return store.Later(fmt.Errorf("the store has %d bytes, and %d are listed", body.Size, p.want.Size), longestPause)
	}
	return p.copy(body, p.have-body.Offset)
}

// copy writes the body into the file, but for the bytes that are there already.
func (p *pulling) copy(body store.Body, skip int64) error {
	p.watch.arm() // over all of it: a few bytes now and then are no transfer
	defer p.watch.disarm()
	from := fedReader{body, p.download}
	buffer := make([]byte, 256<<10)
	for {
		n, err := from.Read(buffer)
		before := min(skip, int64(n))
		skip -= before
		if err := p.add(buffer[before:n]); err != nil {
			return err
		}
		switch {
		case err == nil:
			continue
		case !errors.Is(err, io.EOF):
			return transferError{p.watch.cause(err)}
		case p.have < p.want.Size || skip > 0:
			return transferError{fmt.Errorf("the store ended after %d of %d bytes: %w", p.have, p.want.Size, io.ErrUnexpectedEOF)}
		}
		return nil
	}
}

// add appends bytes that came.
func (p *pulling) add(came []byte) error {
	most := p.want.Size
	if most < 0 {
		most = p.cache.limit
	}
	if int64(len(came)) > most-p.have {
		return store.Later(fmt.Errorf("the store sends more than the %d bytes that it may have", most), tooOften)
	}
	if p.have < 512 {
		p.head = append(p.head, came[:min(len(came), 512)]...)
	}
	if _, err := p.file.Write(came); err != nil {
		return plain(err)
	}
	p.hash.Write(came)
	p.moved(int64(len(came)))
	return nil
}

// copyUntil copies until ctx ends.
func copyUntil(ctx context.Context, to io.Writer, from io.Reader) error {
	buffer := make([]byte, 256<<10)
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := from.Read(buffer)
		if _, err := to.Write(buffer[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
