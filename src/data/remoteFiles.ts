/**
 * The official files, where they are to be had, and what their content must be.
 *
 * What was verified about each SHA-256 is said beside it. None of the addresses could be opened
 * where this was written (no network); the tests download from a local server instead. A wrong
 * address or a changed file ends in a clear error, never in wrong data.
 */

/** A file to download. */
export interface RemoteFile {
  /** Path below the cache directory, such as `semeion/semeion.data`. */
  readonly path: string;
  /** Addresses with the same content, tried in turn. */
  readonly urls: readonly string[];
  /** Size in bytes of what `sha256` is about. */
  readonly bytes: number;
  /** SHA-256, in lower-case hexadecimal. */
  readonly sha256: string;
  /**
   * What the hash covers: the file as it is sent, or its content after unpacking gzip. Mirrors
   * compress MNIST differently; the content is the same.
   */
  readonly hashOf: 'file' | 'unpacked';
}

const UCI = 'https://archive.ics.uci.edu/ml/machine-learning-databases';

/**
 * Verified: a copy with 3823 + 1797 rows hashed to these values, and the same values are published
 * for optdigits.tra and optdigits.tes by several independent projects.
 */
export const OPTDIGITS_FILES = {
  train: {
    path: 'optdigits/optdigits.tra',
    urls: [`${UCI}/optdigits/optdigits.tra`],
    bytes: 563_639,
    sha256: 'e1b683cc211604fe8fd8c4417e6a69f31380e0c61d4af22e93cc21e9257ffedd',
    hashOf: 'file',
  },
  test: {
    path: 'optdigits/optdigits.tes',
    urls: [`${UCI}/optdigits/optdigits.tes`],
    bytes: 264_712,
    sha256: '6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8',
    hashOf: 'file',
  },
} as const satisfies Record<string, RemoteFile>;

/**
 * Verified: writing the rows of a shortened copy (`0` for `0.0000`) in the official notation gives
 * exactly this hash, which torchvision's prototype data sets publish for UCI's semeion.data, and
 * the MD5 that torchvision's SEMEION pins. `test/data/realFiles.test.ts` repeats it.
 */
export const SEMEION_FILE = {
  path: 'semeion/semeion.data',
  urls: [`${UCI}/semeion/semeion.data`],
  bytes: 2_889_702,
  sha256: 'f43228ae3da5ea6a3c95069d53450b86166770e3b719dcc333182128fe08d4b1',
  hashOf: 'file',
} as const satisfies RemoteFile;

/** The official four names of MNIST and Fashion-MNIST. */
export const IDX_NAMES = {
  train: { images: 'train-images-idx3-ubyte.gz', labels: 'train-labels-idx1-ubyte.gz' },
  test: { images: 't10k-images-idx3-ubyte.gz', labels: 't10k-labels-idx1-ubyte.gz' },
} as const;

const idxFile = (
  folder: string,
  mirrors: readonly string[],
  name: string,
  bytes: number,
  sha256: string,
): RemoteFile => ({
  path: `${folder}/${name}`,
  urls: mirrors.map((mirror) => `${mirror}/${name}`),
  bytes,
  sha256,
  hashOf: 'unpacked',
});

const MNIST_MIRRORS = [
  'https://storage.googleapis.com/cvdf-datasets/mnist',
  'https://ossci-datasets.s3.amazonaws.com/mnist',
];
const FASHION_MIRRORS = ['http://fashion-mnist.s3-website.eu-central-1.amazonaws.com'];

const [IMAGES_60K, IMAGES_10K, LABELS_60K, LABELS_10K] = [47_040_016, 7_840_016, 60_008, 10_008];

/** Verified: copies unpacked to these values; those of MNIST are published widely as well. */
export const MNIST_FILES = {
  train: {
    images: idxFile(
      'mnist',
      MNIST_MIRRORS,
      IDX_NAMES.train.images,
      IMAGES_60K,
      'ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db',
    ),
    labels: idxFile(
      'mnist',
      MNIST_MIRRORS,
      IDX_NAMES.train.labels,
      LABELS_60K,
      '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5',
    ),
  },
  test: {
    images: idxFile(
      'mnist',
      MNIST_MIRRORS,
      IDX_NAMES.test.images,
      IMAGES_10K,
      '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7',
    ),
    labels: idxFile(
      'mnist',
      MNIST_MIRRORS,
      IDX_NAMES.test.labels,
      LABELS_10K,
      'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2',
    ),
  },
} as const;

/**
 * Verified: copies that are stated to be bit-exact with the originals unpacked to these values.
 * Not verified: that the mirror's files unpack to them (only their packed hashes are published).
 */
export const FASHION_FILES = {
  train: {
    images: idxFile(
      'fashion-mnist',
      FASHION_MIRRORS,
      IDX_NAMES.train.images,
      IMAGES_60K,
      'c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888',
    ),
    labels: idxFile(
      'fashion-mnist',
      FASHION_MIRRORS,
      IDX_NAMES.train.labels,
      LABELS_60K,
      'bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9',
    ),
  },
  test: {
    images: idxFile(
      'fashion-mnist',
      FASHION_MIRRORS,
      IDX_NAMES.test.images,
      IMAGES_10K,
      '5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b',
    ),
    labels: idxFile(
      'fashion-mnist',
      FASHION_MIRRORS,
      IDX_NAMES.test.labels,
      LABELS_10K,
      '0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34',
    ),
  },
} as const;

/**
 * Not verified here (no copy at hand): both hashes are those that several independent projects
 * publish for the two archives.
 */
export const CIFAR_ARCHIVES = {
  cifar10: {
    path: 'cifar10/cifar-10-binary.tar.gz',
    urls: ['https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz'],
    bytes: 170_052_171,
    sha256: 'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd',
    hashOf: 'file',
  },
  cifar100: {
    path: 'cifar100/cifar-100-binary.tar.gz',
    urls: ['https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz'],
    bytes: 168_513_733,
    sha256: '58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec',
    hashOf: 'file',
  },
} as const satisfies Record<string, RemoteFile>;
