// SPDX-License-Identifier: MIT
// Copyright (c) the Weft authors

// A peer of bench/runtime in Go. It prints "name best median" lines, in nanoseconds (bytes for parked_bytes).
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"runtime"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

const repeats = 11

// Processor time, as in bench/measure.h.
func now() int64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func report(name string, count int, once func()) {
	once()
	var ns []float64
	for i := 0; i < repeats; i++ {
		start := now()
		once()
		ns = append(ns, float64(now()-start)/float64(count))
	}
	sort.Float64s(ns)
	fmt.Printf("%s %.1f %.1f\n", name, ns[0], ns[repeats/2])
}

func yield(tasks, rounds int) {
	var all sync.WaitGroup
	all.Add(tasks)
	for i := 0; i < tasks; i++ {
		go func() {
			for j := 0; j < rounds; j++ {
				runtime.Gosched()
			}
			all.Done()
		}()
	}
	all.Wait()
}

func spawn(rounds, each int) {
	var all sync.WaitGroup
	for i := 0; i < rounds; i++ {
		all.Add(each)
		for j := 0; j < each; j++ {
			go all.Done()
		}
		all.Wait()
	}
}

func handOver(capacity, count int) {
	queue := make(chan int, capacity)
	go func() {
		for i := 0; i < count; i++ {
			queue <- i
		}
		close(queue)
	}()
	for range queue {
	}
}

func queueAlone(count int) {
	queue := make(chan int, 1)
	for i := 0; i < count; i++ {
		queue <- i
		<-queue
	}
}

func locks(count int) {
	var lock sync.Mutex
	for i := 0; i < count; i++ {
		lock.Lock()
		lock.Unlock()
	}
}

// A semaphore is a channel in Go.
func semaphores(count int) {
	places := make(chan struct{}, 1)
	for i := 0; i < count; i++ {
		places <- struct{}{}
		<-places
	}
}

// There is no event in Go: a channel without a buffer wakes one.
func events(count int) {
	there, back := make(chan struct{}), make(chan struct{})
	go func() {
		for range there {
			back <- struct{}{}
		}
	}()
	for i := 0; i < count; i++ {
		there <- struct{}{}
		<-back
	}
	close(there)
}

func selects(count int) {
	var queues [4]chan int
	for i := range queues {
		queues[i] = make(chan int, 1)
	}
	go func() {
		for i := 0; i < count; i++ {
			queues[i%4] <- i
		}
	}()
	sum := 0
	for i := 0; i < count; i++ {
		select {
		case n := <-queues[0]:
			sum += n
		case n := <-queues[1]:
			sum += n
		case n := <-queues[2]:
			sum += n
		case n := <-queues[3]:
			sum += n
		}
	}
	if sum != count*(count-1)/2 {
		panic("items are lost")
	}
}

// A generator is a goroutine behind a channel without a buffer.
func generatorSteps(count int) {
	values := make(chan int)
	go func() {
		for i := 0; i < count; i++ {
			values <- i
		}
		close(values)
	}()
	for range values {
	}
}

// A call in a thread of its own and back.
func offloads(count int) {
	calls, results := make(chan int), make(chan int)
	go func() {
		runtime.LockOSThread()
		for n := range calls {
			results <- n + 1
		}
	}()
	for i := 0; i < count; i++ {
		calls <- i
		<-results
	}
	close(calls)
}

func timeoutsUnused(count int) {
	for i := 0; i < count; i++ {
		_, cancel := context.WithTimeout(context.Background(), time.Hour)
		cancel()
	}
}

func sleepsCut(count int) {
	sleeping := make(chan context.CancelFunc)
	go func() {
		for i := 0; i < count; i++ {
			ctx, cancel := context.WithCancel(context.Background())
			timer := time.NewTimer(time.Hour)
			sleeping <- cancel
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
			}
		}
		close(sleeping)
	}()
	for cancel := range sleeping {
		runtime.Gosched()
		cancel()
	}
}

// Go keeps the thread for a read that does not last; no other goroutine runs on this one core meanwhile.
func loads(count int) {
	file, _ := os.CreateTemp("", "bench")
	defer os.Remove(file.Name())
	file.Write(make([]byte, 4096))
	for i := 0; i < count; i++ {
		if content, err := os.ReadFile(file.Name()); err != nil || len(content) != 4096 {
			panic("a file is not whole")
		}
	}
}

func preads(count int) {
	file, _ := os.CreateTemp("", "bench")
	defer os.Remove(file.Name())
	file.Write(make([]byte, 4096))
	buffer := make([]byte, 4096)
	for i := 0; i < count; i++ {
		if size, err := file.ReadAt(buffer, 0); err != nil || size != 4096 {
			panic("a file is not whole")
		}
	}
}

func processRuns(count int) {
	for i := 0; i < count; i++ {
		command := exec.Command("true")
		command.Stdin = strings.NewReader("")
		if _, err := command.Output(); err != nil {
			panic(err)
		}
	}
}

func residentPages() (pages int) {
	text, _ := os.ReadFile("/proc/self/statm")
	fmt.Sscanf(strings.Fields(string(text))[1], "%d", &pages)
	return
}

func parked(count int) {
	before := residentPages()
	var ready sync.WaitGroup
	ready.Add(count)
	end := make(chan bool)
	for i := 0; i < count; i++ {
		go func(i int) {
			log.Printf("task %d of %s is ready", i, "many")
			ready.Done()
			<-end
		}(i)
	}
	ready.Wait()
	bytes := float64((residentPages()-before)*os.Getpagesize()) / float64(count)
	close(end)
	fmt.Printf("parked_bytes %.0f %.0f\n", bytes, bytes)
}

func main() {
	runtime.GOMAXPROCS(1)
	log.SetOutput(io.Discard)
	report("yield_2", 200000, func() { yield(2, 100000) })
	report("yield_1000", 200000, func() { yield(1000, 200) })
	report("spawn_one", 100000, func() { spawn(100000, 1) })
	report("spawn_64", 64*1500, func() { spawn(1500, 64) })
	report("spawn_1000", 100*1000, func() { spawn(100, 1000) })
	report("timeout_unused", 100000, func() { timeoutsUnused(100000) })
	report("sleep_cut", 100000, func() { sleepsCut(100000) })
	report("queue_1", 100000, func() { handOver(1, 100000) })
	report("queue_10", 100000, func() { handOver(10, 100000) })
	report("queue_64", 100000, func() { handOver(64, 100000) })
	report("queue_alone", 200000, func() { queueAlone(200000) })
	report("lock", 400000, func() { locks(400000) })
	report("semaphore", 200000, func() { semaphores(200000) })
	report("event", 100000, func() { events(100000) })
	report("select_4", 100000, func() { selects(100000) })
	report("generator_step", 100000, func() { generatorSteps(100000) })
	report("offload", 5000, func() { offloads(5000) })
	report("file_load", 20000, func() { loads(20000) })
	report("file_pread", 20000, func() { preads(20000) })
	report("process_run", 50, func() { processRuns(50) })
	parked(200000)
}
