import { KiB, MiB, GiB } from '../units.ts';

/**
 * Every bound that a peer, a file or a model meets, in one place. docs/limits.md lists them with their reasons;
 * a test holds that page against this file. Names end in their unit.
 */
export const LIMITS = {
  frame: {
    controlBytes: 64 * KiB,
    dataBytes: 1 * MiB,
  },
  conversation: {
    /** What a peer may send before the first credit; also the memory a silent stream can cost. Larger than any frame. */
    initialWindowBytes: 2 * MiB,
    /** A window doubles up to here while its reader keeps up: a 125 MB/s line at 60 ms stays full. */
    maxWindowBytes: 8 * MiB,
    /** All windows of a node together above their initial size. */
    windowBudgetBytes: 64 * MiB,
    /** Charged to the window for each frame besides its body, so that a flood of empty frames is bounded too. */
    frameOverheadBytes: 64,
    /** Neither the peer nor the transport took a byte of what waits to be sent. */
    writeStallMs: 30_000,
    /** From a frame's first byte to its last: 17 kB/s at least for the largest. */
    frameMs: 60_000,
    /** After our end of a stream is closed, the peer has this long to close its own. */
    lingerMs: 5_000,
  },
  content: {
    /** One leaf fills one data frame; larger ones would make a wrong byte cost more and a resume begin further back. */
    leafBytes: 1 * MiB,
    /** Smaller leaves suit slow uplinks; below this the list of hashes outweighs what it saves. */
    minLeafBytes: 16 * KiB,
    /** Full-sized leaves of the largest file, and the length of any manifest's list. */
    leaves: 16 * 1024,
    fileBytes: 16 * GiB,
    /** 41 bytes for each leaf and a short head: fits one data frame. */
    manifestBytes: 704 * KiB,
    /** Leaves that one request may ask for. */
    leavesPerRequest: 64,
    /** Requests on their way to one provider: enough to fill a 12.5 MB/s link of 40 ms, little to hand on when it dies. */
    requestsPerProvider: 4,
    /** Providers that one download talks to at a time. */
    providersPerFetch: 8,
    /** Providers that one download tries in all, the DHT's included: a stranger can announce any number. */
    providersTried: 32,
    /** Tries to reach a provider that failed before it is given up for this download. */
    attemptsPerProvider: 3,
    /** Verified leaves of one download waiting for the disk; the network waits when it is reached. */
    leavesToWrite: 4,
    /** Wrong senders remembered; the oldest are forgotten first. */
    wrongSenders: 4096,
    openTimeoutMs: 10_000,
    /** Silence from a provider that owes an answer. */
    answerTimeoutMs: 20_000,
    /** A whole leaf must have come by then: 17 kB/s, below which a provider is worth less than its place. */
    leafDeadlineMs: 60_000,
    /** A requester that asks nothing for so long loses its stream. */
    idleTimeoutMs: 60_000,
    /** Uploads: streams of one peer and of all. Each holds one leaf in memory. */
    uploadStreamsPerPeer: 4,
    uploadStreams: 64,
    /** Entries in the folder; each costs a few hundred bytes of memory. */
    entries: 100_000,
  },
  shard: {
    inputBytes: 64 * MiB,
    outputBytes: 64 * MiB,
    perLeaseCount: 256,
  },
  /** What a stranger's ONNX model may be before the runtime sees a byte of it. Callers lower or raise the last block to what the device has. */
  onnx: {
    /** Protobuf's own ceiling for one message. */
    modelBytes: 2 * GiB - 1,
    irVersionMin: 3,
    irVersionMax: 10,
    opsetMin: 7,
    opsetMax: 21,
    /** Exports of large language models have some ten thousand nodes. */
    nodes: 20_000,
    initializers: 20_000,
    /** Messages, names and list elements the reader keeps: two bytes of file become a hundred of memory, so they are counted. */
    items: 500_000,
    /** Exporters write module paths of some two hundred bytes. */
    nameBytes: 1 * KiB,
    rank: 8,
    /** Elements of a constant that shape inference follows by value (shapes, axes, pads). */
    constantElements: 4096,
    /** Above it a size is arithmetic gone wrong, whatever its dtype. */
    dimSize: 2 ** 31 - 1,
    /** Any one value in the graph. */
    tensorBytes: 512 * MiB,
    /** File, weights and live values together. */
    peakBytes: 1 * GiB,
    /** Multiplications and additions of one run: about a minute of one slow core. */
    flops: 1e12,
  },
} as const;
