"""The works behind the built-in components, in BibTeX."""

from __future__ import annotations

BLIND_DPS = """\
@inproceedings{chung2023parallel,
  author = {Chung, Hyungjin and Kim, Jeongsol and Kim, Sehui and Ye, Jong Chul},
  title = {Parallel Diffusion Models of Operator and Image for Blind Inverse Problems},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year = {2023},
  eprint = {2211.10656},
  archiveprefix = {arXiv},
}
"""

DPS = """\
@inproceedings{chung2023diffusion,
  author = {Chung, Hyungjin and Kim, Jeongsol and Mccann, Michael Thompson and Klasky, Marc Louis and Ye, Jong Chul},
  title = {Diffusion Posterior Sampling for General Noisy Inverse Problems},
  booktitle = {International Conference on Learning Representations},
  year = {2023},
  eprint = {2209.14687},
  archiveprefix = {arXiv},
}
"""

DIFF_PIR = """\
@inproceedings{zhu2023denoising,
  author = {Zhu, Yuanzhi and Zhang, Kai and Liang, Jingyun and Cao, Jiezhang and Wen, Bihan and Timofte, Radu and Van
    Gool, Luc},
  title = {Denoising Diffusion Models for Plug-and-Play Image Restoration},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition Workshops},
  year = {2023},
  eprint = {2305.08995},
  archiveprefix = {arXiv},
}
"""

FAST_DIFFUSION_EM = """\
@inproceedings{laroche2024fast,
  author = {Laroche, Charles and Almansa, Andr{\\'e}s and Coupet{\\'e}, Eva},
  title = {Fast Diffusion {EM}: A Diffusion Model for Blind Inverse Problems with Application to Deconvolution},
  booktitle = {IEEE/CVF Winter Conference on Applications of Computer Vision},
  year = {2024},
  eprint = {2309.00287},
  archiveprefix = {arXiv},
}
"""

EDM = """\
@inproceedings{karras2022elucidating,
  author = {Karras, Tero and Aittala, Miika and Aila, Timo and Laine, Samuli},
  title = {Elucidating the Design Space of Diffusion-Based Generative Models},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2022},
  eprint = {2206.00364},
  archiveprefix = {arXiv},
}
"""

ADM = """\
@inproceedings{dhariwal2021diffusion,
  author = {Dhariwal, Prafulla and Nichol, Alexander},
  title = {Diffusion Models Beat {GANs} on Image Synthesis},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2021},
  eprint = {2105.05233},
  archiveprefix = {arXiv},
}
"""

BSDS = """\
@article{arbelaez2011contour,
  author = {Arbel{\\'a}ez, Pablo and Maire, Michael and Fowlkes, Charless and Malik, Jitendra},
  title = {Contour Detection and Hierarchical Image Segmentation},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  volume = {33},
  number = {5},
  year = {2011},
}
"""

CELEBA = """\
@inproceedings{liu2015deep,
  author = {Liu, Ziwei and Luo, Ping and Wang, Xiaogang and Tang, Xiaoou},
  title = {Deep Learning Face Attributes in the Wild},
  booktitle = {IEEE International Conference on Computer Vision},
  year = {2015},
  eprint = {1411.7766},
  archiveprefix = {arXiv},
}
"""

FFHQ = """\
@inproceedings{karras2019style,
  author = {Karras, Tero and Laine, Samuli and Aila, Timo},
  title = {A Style-Based Generator Architecture for Generative Adversarial Networks},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year = {2019},
  eprint = {1812.04948},
  archiveprefix = {arXiv},
}
"""

TOTAL_VARIATION = """\
@article{rudin1992nonlinear,
  author = {Rudin, Leonid I. and Osher, Stanley and Fatemi, Emad},
  title = {Nonlinear Total Variation Based Noise Removal Algorithms},
  journal = {Physica D: Nonlinear Phenomena},
  volume = {60},
  pages = {259--268},
  year = {1992},
}
@article{chambolle2004algorithm,
  author = {Chambolle, Antonin},
  title = {An Algorithm for Total Variation Minimization and Applications},
  journal = {Journal of Mathematical Imaging and Vision},
  volume = {20},
  pages = {89--97},
  year = {2004},
}
"""
